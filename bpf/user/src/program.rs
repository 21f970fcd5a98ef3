//! Loads programs from an object, with their maps pinned, unless they are pinned already.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use aya::maps::MapInfo;
use aya::programs::{ProgramError, ProgramInfo};
use aya::{EbpfError, EbpfLoader};

use crate::map::{MapError, MapSpec};
use crate::pins::{PinDir, PinError, failed};
use crate::sys;

/// A compiled object and its maps.
#[derive(Clone, Copy, Debug)]
pub struct Object<'a> {
    /// The ELF file.
    pub elf: &'a [u8],
    /// The maps of the program that is wanted, which are pinned.
    pub maps: &'a [MapSpec],
    /// Maps of the object's other programs: made with one entry, and gone after loading.
    pub others: &'a [&'static str],
}

/// A loaded and pinned XDP program.
#[derive(Debug)]
pub struct Program {
    name: String,
    fd: OwnedFd,
    id: u32,
    pin: PathBuf,
}

/// Why a program is not ready.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A pin cannot be made or removed.
    #[error(transparent)]
    Pin(#[from] PinError),
    /// A map is not as the layouts say.
    #[error(transparent)]
    Map(#[from] MapError),
    /// The object does not parse, or a map cannot be created.
    #[error("loading the object of {program}")]
    Object {
        /// The program wanted from it.
        program: String,
        /// Why it failed.
        source: Box<EbpfError>,
    },
    /// There is no such program in the object.
    #[error("the object holds no program {0}")]
    Missing(String),
    /// The verifier refused it.
    #[error("loading program {program}")]
    Refused {
        /// The program.
        program: String,
        /// Why it failed, with the verifier's log.
        source: Box<ProgramError>,
    },
    /// A descriptor could not be had.
    #[error("opening program {program}")]
    Open {
        /// The program.
        program: String,
        /// Why it failed.
        source: io::Error,
    },
}

impl Program {
    /// Its name in the object.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its number in the kernel.
    #[must_use]
    pub const fn id(&self) -> u32 {
        self.id
    }

    /// Unpins every other build of this program. Their links must have been switched before.
    ///
    /// # Errors
    /// If a pin cannot be removed.
    pub fn retire_others(&self, pins: &PinDir) -> Result<(), PinError> {
        pins.retire_programs(&self.name, &self.pin)
    }
}

impl AsFd for Program {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The program `name` of `object`, with its maps: what is pinned is opened, the rest is created.
///
/// A program is pinned under a hash of its object, so the same object is never loaded twice.
///
/// # Errors
/// If a pinned map differs from what the object expects, or the kernel refuses.
pub fn load(object: &Object<'_>, name: &str, pins: &PinDir) -> Result<Program, LoadError> {
    pins.create()?;
    for map in object.maps {
        map.check_pinned(pins)?;
    }
    let pin = pins.program(name, fingerprint(object.elf));
    if let Some(program) = open_pinned(object, name, pins, &pin)? {
        return Ok(program);
    }
    let fd = load_object(object, name, pins)?;
    for map in object.maps {
        // Also when the program has not named the map: then it is not there to be opened.
        map.open(pins)?;
    }
    crate::pins::remove(&pin)?;
    sys::object_pin(fd.as_fd(), &pin).map_err(|error| failed("pinning", &pin, error))?;
    let info = describe(name, &pin)?;
    tracing::info!(program = name, id = info.id(), "program loaded");
    Ok(Program {
        name: name.to_owned(),
        fd,
        id: info.id(),
        pin,
    })
}

/// The pinned program, if it uses the maps that are pinned beside it.
fn open_pinned(
    object: &Object<'_>,
    name: &str,
    pins: &PinDir,
    pin: &Path,
) -> Result<Option<Program>, LoadError> {
    let fd = match sys::object_get(pin) {
        Ok(fd) => fd,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            return Err(LoadError::Open {
                program: name.to_owned(),
                source,
            });
        }
    };
    let info = describe(name, pin)?;
    let used = info
        .map_ids()
        .map_err(|source| refused(name, source))?
        .unwrap_or_default();
    if !uses_pinned(object, &used, pins)? {
        return Ok(None);
    }
    Ok(Some(Program {
        name: name.to_owned(),
        fd,
        id: info.id(),
        pin: pin.to_owned(),
    }))
}

/// Whether each map that a program uses by the name of a pinned one is that one.
fn uses_pinned(object: &Object<'_>, used: &[u32], pins: &PinDir) -> Result<bool, LoadError> {
    for map in object.maps {
        let pinned = match map.id(pins) {
            Ok(id) => id,
            Err(MapError::Open { .. }) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        for id in used {
            let info = MapInfo::from_id(*id).map_err(|source| map.undescribed(source))?;
            if info.name() == kernel_name(map.name) && *id != pinned {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

fn load_object(object: &Object<'_>, name: &str, pins: &PinDir) -> Result<OwnedFd, LoadError> {
    let mut loader = EbpfLoader::new();
    for map in object.maps {
        loader.map_pin_path(map.name, pins.map(map.name));
        loader.map_max_entries(map.name, map.max_entries);
    }
    for map in object.others {
        loader.map_max_entries(map, 1);
    }
    // The parser reads words in place, and bytes embedded in a binary are aligned by chance.
    let elf = object.elf.to_vec();
    let mut loaded = loader.load(&elf).map_err(|source| LoadError::Object {
        program: name.to_owned(),
        source: Box::new(source),
    })?;
    let program: &mut aya::programs::Xdp = loaded
        .program_mut(name)
        .ok_or_else(|| LoadError::Missing(name.to_owned()))?
        .try_into()
        .map_err(|source| refused(name, source))?;
    program.load().map_err(|source| refused(name, source))?;
    program
        .fd()
        .map_err(|source| refused(name, source))?
        .as_fd()
        .try_clone_to_owned()
        .map_err(|source| LoadError::Open {
            program: name.to_owned(),
            source,
        })
}

fn describe(name: &str, pin: &Path) -> Result<ProgramInfo, LoadError> {
    ProgramInfo::from_pin(pin).map_err(|source| refused(name, source))
}

fn refused(name: &str, source: ProgramError) -> LoadError {
    LoadError::Refused {
        program: name.to_owned(),
        source: Box::new(source),
    }
}

/// What the kernel keeps of a name: 15 bytes.
fn kernel_name(name: &str) -> &[u8] {
    name.as_bytes().get(..15).unwrap_or(name.as_bytes())
}

/// FNV-1a: tells builds apart; nothing depends on nobody forging one.
fn fingerprint(elf: &[u8]) -> u64 {
    elf.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builds_that_differ_in_one_byte_have_different_pins() {
        assert_eq!(fingerprint(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fingerprint(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_ne!(fingerprint(b"object"), fingerprint(b"objecu"));
    }
}
