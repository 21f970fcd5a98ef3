//! Attaches XDP programs by links that outlive this process.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use aya::programs::loaded_programs;

use crate::netlink::{Mode, XdpOn, xdp_on};
use crate::pins::{PinDir, PinError, failed, remove};
use crate::program::Program;
use crate::sys::{self, LinkState};

/// `XDP_FLAGS_SKB_MODE`.
const SKB_MODE: u32 = 1 << 1;
/// `XDP_FLAGS_DRV_MODE`.
const DRV_MODE: u32 = 1 << 2;

/// A network interface as the kernel knows it now.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its index, which an interface of the same name does not get again.
    pub index: u32,
}

/// Which modes [`attach`] may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AttachMode {
    /// Native where the driver has it, generic else.
    #[default]
    Auto,
    /// Native or not at all.
    Native,
    /// Generic, whatever the driver has.
    Generic,
}

/// What [`attach`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The link ran this program already.
    Kept,
    /// The link ran another program until now.
    Replaced,
    /// There is a new link.
    Created,
}

/// An interface that runs our program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attached {
    /// Where the program runs.
    pub mode: Mode,
    /// What had to be done for it.
    pub change: Change,
}

/// A program of somebody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occupant {
    /// Its number.
    pub id: u32,
    /// Its name, if it has one.
    pub name: String,
}

/// Why a program is not attached.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// Another program is in the way, and stays.
    #[error("interface {interface} already runs XDP {occupant}")]
    Occupied {
        /// The interface.
        interface: String,
        /// What is in the way.
        occupant: Occupant,
    },
    /// The interface is not there.
    #[error("interface {0} is gone")]
    Gone(String),
    /// Native mode is asked for, and the driver cannot run the program.
    #[error("the driver of {interface} does not run XDP natively, and generic mode is not allowed")]
    NoNative {
        /// The interface.
        interface: String,
        /// What the driver says.
        source: io::Error,
    },
    /// The kernel or the driver refused.
    #[error("attaching XDP to {interface}")]
    Refused {
        /// The interface.
        interface: String,
        /// Why it failed.
        source: io::Error,
    },
    /// A pin cannot be made or removed.
    #[error(transparent)]
    Pin(#[from] PinError),
}

/// A pinned XDP link.
#[derive(Debug)]
pub struct XdpLink {
    fd: OwnedFd,
    state: LinkState,
}

impl XdpLink {
    /// The link that is pinned for an interface, if there is one.
    ///
    /// # Errors
    /// If what is pinned cannot be read or is not an XDP link.
    pub fn open(pins: &PinDir, interface: &str) -> Result<Option<Self>, PinError> {
        let path = pins.link(interface);
        let fd = match sys::object_get(&path) {
            Ok(fd) => fd,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("opening", &path, error)),
        };
        let state =
            sys::link_state(fd.as_fd()).map_err(|error| failed("describing", &path, error))?;
        Ok(Some(Self { fd, state }))
    }

    /// The interface it is attached to, until that goes.
    #[must_use]
    pub const fn ifindex(&self) -> Option<u32> {
        match self.state.ifindex {
            0 => None,
            index => Some(index),
        }
    }

    /// The number of the program it runs.
    #[must_use]
    pub const fn program(&self) -> u32 {
        self.state.program
    }

    /// Lets it run another program, between two packets.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn replace(&self, program: &Program) -> io::Result<()> {
        sys::link_update(self.fd.as_fd(), program.as_fd())
    }

    /// Pins the link a second time, under another version.
    pub(crate) fn pin(&self, path: &Path) -> Result<(), PinError> {
        remove(path)?;
        sys::object_pin(self.fd.as_fd(), path).map_err(|error| failed("pinning", path, error))
    }
}

/// Makes `interface` run `program`: keeps, updates or creates its link. A link in a mode that is
/// not allowed is made anew, and for that moment nothing runs.
///
/// # Errors
/// If another program is in the way, the interface is gone, or the kernel refuses.
pub fn attach(
    pins: &PinDir,
    program: &Program,
    interface: &Interface,
    mode: AttachMode,
) -> Result<Attached, AttachError> {
    let refused = |source| AttachError::Refused {
        interface: interface.name.clone(),
        source,
    };
    if let Some(link) = XdpLink::open(pins, &interface.name)? {
        let allowed = mode.allows(running_mode(interface.index));
        match step_for(&link, interface.index, program.id(), allowed) {
            Step::Keep => return finish(interface, Change::Kept),
            Step::Replace => {
                link.replace(program).map_err(refused)?;
                return finish(interface, Change::Replaced);
            }
            Step::Renew => detach(pins, &interface.name)?,
        }
    }
    let path = pins.link(&interface.name);
    let link = create(program, interface, mode)?;
    sys::object_pin(link.as_fd(), &path).map_err(|error| failed("pinning", &path, error))?;
    finish(interface, Change::Created)
}

/// Detaches what is pinned for an interface, whether that still exists or not.
///
/// # Errors
/// If the pin cannot be removed.
pub fn detach(pins: &PinDir, interface: &str) -> Result<(), PinError> {
    let path = pins.link(interface);
    if let Some(link) = XdpLink::open(pins, interface)?
        && link.ifindex().is_some()
    {
        sys::link_detach(link.fd.as_fd()).map_err(|error| failed("detaching", &path, error))?;
    }
    remove(&path)
}

impl fmt::Display for Occupant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "program \"{}\" (id {})", self.name, self.id)
    }
}

enum Step {
    Keep,
    Replace,
    Renew,
}

impl AttachMode {
    /// Whether a program may go on in the mode it runs in; a mode that is not known is left alone.
    const fn allows(self, running: Option<Mode>) -> bool {
        match (self, running) {
            (Self::Native, Some(Mode::Generic)) | (Self::Generic, Some(Mode::Native)) => false,
            (Self::Auto | Self::Native, Some(Mode::Native) | None)
            | (Self::Auto | Self::Generic, Some(Mode::Generic) | None) => true,
        }
    }
}

fn running_mode(ifindex: u32) -> Option<Mode> {
    xdp_on(ifindex).ok().flatten().map(|on| on.mode)
}

fn step_for(link: &XdpLink, ifindex: u32, program: u32, allowed: bool) -> Step {
    match link.ifindex() {
        Some(index) if index == ifindex && !allowed => Step::Renew,
        Some(index) if index == ifindex && link.program() == program => Step::Keep,
        Some(index) if index == ifindex => Step::Replace,
        // The interface went and came back, or another one has its name now.
        Some(_) | None => Step::Renew,
    }
}

fn create(
    program: &Program,
    interface: &Interface,
    mode: AttachMode,
) -> Result<OwnedFd, AttachError> {
    let link = |flags| sys::link_create(program.as_fd(), interface.index, flags);
    let outcome = match mode {
        AttachMode::Generic => link(SKB_MODE),
        AttachMode::Auto | AttachMode::Native => link(DRV_MODE),
    };
    let outcome = match (mode, outcome) {
        (AttachMode::Auto, Err(error)) if lacks_native(&error) => {
            tracing::warn!(interface = interface.name, %error, "no native XDP, trying generic");
            link(SKB_MODE)
        }
        (AttachMode::Native, Err(source)) if lacks_native(&source) => {
            return Err(AttachError::NoNative {
                interface: interface.name.clone(),
                source,
            });
        }
        (AttachMode::Auto | AttachMode::Native | AttachMode::Generic, outcome) => outcome,
    };
    outcome.map_err(|source| explain(interface, source))
}

/// Whether the driver cannot run this program, but the network stack might.
fn lacks_native(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        // ERANGE, EINVAL: the MTU or a setting such as LRO; ENOMEM, ENOSPC: too few queues.
        Some(libc::EOPNOTSUPP | libc::ERANGE | libc::EINVAL | libc::ENOMEM | libc::ENOSPC)
    )
}

fn explain(interface: &Interface, source: io::Error) -> AttachError {
    let name = interface.name.clone();
    match (source.raw_os_error(), xdp_on(interface.index)) {
        // EEXIST: it runs in the other mode.
        (Some(libc::EBUSY | libc::EEXIST), Ok(Some(XdpOn { program, .. }))) => {
            AttachError::Occupied {
                interface: name,
                occupant: occupant(program),
            }
        }
        (_, Err(error)) if is_gone(&error) => AttachError::Gone(name),
        (_, Ok(_) | Err(_)) => AttachError::Refused {
            interface: name,
            source,
        },
    }
}

fn finish(interface: &Interface, change: Change) -> Result<Attached, AttachError> {
    match xdp_on(interface.index) {
        Ok(Some(XdpOn { mode, .. })) => Ok(Attached { mode, change }),
        Ok(None) => Err(AttachError::Gone(interface.name.clone())),
        Err(error) if is_gone(&error) => Err(AttachError::Gone(interface.name.clone())),
        Err(source) => Err(AttachError::Refused {
            interface: interface.name.clone(),
            source,
        }),
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENODEV | libc::ENOENT))
}

fn occupant(id: u32) -> Occupant {
    let name = loaded_programs()
        .filter_map(Result::ok)
        .find(|program| program.id() == id)
        .and_then(|program| program.name_as_str().map(ToOwned::to_owned))
        .unwrap_or_default();
    Occupant { id, name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_in_a_mode_that_is_not_allowed_is_made_anew() {
        for (wanted, running, allowed) in [
            (AttachMode::Auto, Mode::Native, true),
            (AttachMode::Auto, Mode::Generic, true),
            (AttachMode::Native, Mode::Native, true),
            (AttachMode::Native, Mode::Generic, false),
            (AttachMode::Generic, Mode::Native, false),
            (AttachMode::Generic, Mode::Generic, true),
        ] {
            assert_eq!(wanted.allows(Some(running)), allowed, "{wanted:?}");
            assert!(wanted.allows(None));
        }
    }

    #[test]
    fn only_what_a_driver_lacks_leads_to_generic_mode() {
        let from = io::Error::from_raw_os_error;

        assert!(lacks_native(&from(libc::EOPNOTSUPP)));
        assert!(lacks_native(&from(libc::ERANGE)));
        for errno in [libc::EBUSY, libc::EEXIST, libc::EPERM, libc::ENODEV] {
            assert!(!lacks_native(&from(errno)), "{errno}");
        }
    }
}
