//! Finds a compiler that can build for the kernel's target, and the linker.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, time};

use crate::BuildError;

/// Where a compiler keeps the sources of `core`, below its sysroot.
const RUST_SRC: &str = "lib/rustlib/src/rust/library";

/// A compiler with the sources of `core`, and bpf-linker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toolchain {
    /// The compiler.
    pub rustc: PathBuf,
    /// The cargo that goes with it.
    pub cargo: PathBuf,
    /// bpf-linker.
    pub linker: PathBuf,
    /// What the compiler says of itself.
    pub version: String,
}

impl Toolchain {
    /// The first of: `BPF_RUSTC` and `BPF_CARGO`; a rustup nightly with rust-src; Debian's
    /// rustc-web, cargo-web and rust-web-src. bpf-linker is looked for in `<target>/tools/bin`, then
    /// in `PATH`.
    ///
    /// # Errors
    ///
    /// Names what is missing.
    pub fn find(target: &Path) -> Result<Self, BuildError> {
        let (rustc, cargo) = compiler()?;
        let path = env::var_os("PATH").unwrap_or_default();
        let linker = linker(&target.join("tools/bin"), &path)?;
        let version = ask(&rustc, &["-vV"]).ok_or_else(|| BuildError::Missing {
            what: format!("{} does not run", rustc.display()),
        })?;
        Ok(Self {
            rustc,
            cargo,
            linker,
            version,
        })
    }

    /// What makes two builds of the same sources differ.
    pub(crate) fn identity(&self) -> Vec<String> {
        let linked = fs::metadata(&self.linker).and_then(|data| data.modified());
        let linked = linked
            .ok()
            .and_then(|at| at.duration_since(time::UNIX_EPOCH).ok());
        vec![
            self.rustc.display().to_string(),
            self.version.clone(),
            self.linker.display().to_string(),
            format!("{linked:?}"),
        ]
    }
}

fn compiler() -> Result<(PathBuf, PathBuf), BuildError> {
    let told = Told {
        rustc: env::var_os("BPF_RUSTC").map(PathBuf::from),
        cargo: env::var_os("BPF_CARGO").map(PathBuf::from),
    };
    choose(told, nightly, debian).map_err(|what| BuildError::Missing { what })
}

/// What the environment says about the compiler.
#[derive(Default)]
struct Told {
    rustc: Option<PathBuf>,
    cargo: Option<PathBuf>,
}

/// A place where a compiler may be.
enum Installed {
    /// No compiler runs there.
    Absent,
    /// It runs, but something that belongs to it is missing.
    Without(&'static str),
    /// The compiler and its cargo.
    Complete(PathBuf, PathBuf),
}

/// The compiler and its cargo, or what is missing, in words.
fn choose(
    told: Told,
    nightly: impl FnOnce() -> Installed,
    debian: impl FnOnce() -> Installed,
) -> Result<(PathBuf, PathBuf), String> {
    match (told.rustc, told.cargo) {
        (Some(rustc), Some(cargo)) => return Ok((rustc, cargo)),
        (Some(_), None) => return Err("BPF_RUSTC is set, and BPF_CARGO has to be too".to_owned()),
        (None, Some(_)) => return Err("BPF_CARGO is set, and BPF_RUSTC has to be too".to_owned()),
        (None, None) => {}
    }
    let nightly = match nightly() {
        Installed::Complete(rustc, cargo) => return Ok((rustc, cargo)),
        Installed::Without(part) => format!("rustup's nightly has no {part}"),
        Installed::Absent => "rustup has no nightly".to_owned(),
    };
    let debian = match debian() {
        Installed::Complete(rustc, cargo) => return Ok((rustc, cargo)),
        Installed::Without(part) => format!("Debian's rustc has no {part}"),
        Installed::Absent => "Debian's rustc-web is not installed".to_owned(),
    };
    Err(format!(
        "no compiler for the kernel's target: {nightly}, and {debian}"
    ))
}

fn nightly() -> Installed {
    let asked = ask(
        Path::new("rustup"),
        &["run", "nightly", "rustc", "--print", "sysroot"],
    );
    asked.map_or(Installed::Absent, |sysroot| {
        let sysroot = Path::new(sysroot.trim());
        let sources = "rust-src (rustup component add rust-src --toolchain nightly)";
        look(sysroot, &sysroot.join("bin"), ["cargo", sources])
    })
}

fn debian() -> Installed {
    let bin = Path::new("/usr/bin");
    let asked = ask(&bin.join("rustc"), &["--print", "sysroot"]);
    asked.map_or(Installed::Absent, |sysroot| {
        look(
            Path::new(sysroot.trim()),
            bin,
            ["cargo-web", "rust-web-src"],
        )
    })
}

/// What is there of a compiler that runs; the names are of what cargo and the sources come with.
fn look(sysroot: &Path, bin: &Path, [cargo_from, sources_from]: [&'static str; 2]) -> Installed {
    let (rustc, cargo) = (bin.join("rustc"), bin.join("cargo"));
    if !rustc.is_file() {
        Installed::Absent
    } else if !cargo.is_file() {
        Installed::Without(cargo_from)
    } else if !sysroot.join(RUST_SRC).is_dir() {
        Installed::Without(sources_from)
    } else {
        Installed::Complete(rustc, cargo)
    }
}

fn linker(tools: &Path, path: &OsStr) -> Result<PathBuf, BuildError> {
    std::iter::once(tools.to_path_buf())
        .chain(env::split_paths(path))
        .map(|folder| folder.join("bpf-linker"))
        .find(|file| file.is_file())
        .ok_or_else(|| BuildError::Missing {
            what: format!("no bpf-linker in {} or in PATH", tools.display()),
        })
}

/// What a tool prints, if it is there and succeeds.
fn ask(tool: &Path, args: &[&str]) -> Option<String> {
    let mut command = Command::new(tool);
    command.args(args);
    crate::compile::forget_the_outer_build(&mut command);
    let output = command.output().ok()?;
    if !output.status.success() {
        return None;
    }
    String::from_utf8(output.stdout).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_missing_part_of_a_compiler_is_named() {
        let said = |nightly, debian| choose(Told::default(), || nightly, || debian).unwrap_err();

        assert_eq!(
            said(Installed::Absent, Installed::Absent),
            "no compiler for the kernel's target: rustup has no nightly, and Debian's rustc-web \
             is not installed"
        );
        assert_eq!(
            said(
                Installed::Without("rust-src"),
                Installed::Without("rust-web-src")
            ),
            "no compiler for the kernel's target: rustup's nightly has no rust-src, and Debian's \
             rustc has no rust-web-src"
        );
    }

    #[test]
    fn what_the_environment_names_comes_first_then_rustup_then_debian() {
        let told = Told {
            rustc: Some("/told/rustc".into()),
            cargo: Some("/told/cargo".into()),
        };

        let chosen = [
            choose(told, || found("rustup"), || found("debian")),
            choose(Told::default(), || found("rustup"), || found("debian")),
            choose(
                Told::default(),
                || Installed::Without("rust-src"),
                || found("debian"),
            ),
        ];

        let names = chosen.map(|pair| pair.unwrap().0.display().to_string());
        assert_eq!(names, ["/told/rustc", "/rustup/rustc", "/debian/rustc"]);
    }

    #[test]
    fn one_variable_without_the_other_is_refused_by_name() {
        let refused = |rustc: Option<&str>, cargo: Option<&str>| {
            let told = Told {
                rustc: rustc.map(PathBuf::from),
                cargo: cargo.map(PathBuf::from),
            };
            choose(told, || found("rustup"), || found("debian")).unwrap_err()
        };

        assert_eq!(
            refused(Some("rustc"), None),
            "BPF_RUSTC is set, and BPF_CARGO has to be too"
        );
        assert_eq!(
            refused(None, Some("cargo")),
            "BPF_CARGO is set, and BPF_RUSTC has to be too"
        );
    }

    #[test]
    fn a_missing_linker_is_said_with_the_places_and_the_remedy() {
        let missing = linker(Path::new("/nowhere/bin"), OsStr::new("/none:/of/these"));

        assert_eq!(
            missing.unwrap_err().to_string(),
            "no bpf-linker in /nowhere/bin or in PATH; `make setup` installs what is missing"
        );
    }

    #[test]
    fn a_compiler_lacks_its_cargo_before_its_sources() {
        let parts = ["cargo", "sources"];
        let place = env::temp_dir().join(format!("bpf-build-{}", std::process::id()));
        let bin = place.join("bin");
        let lacks = || match look(&place, &bin, parts) {
            Installed::Absent => "everything",
            Installed::Without(part) => part,
            Installed::Complete(..) => "nothing",
        };

        let before = lacks();
        fs::create_dir_all(&bin).unwrap();
        fs::write(bin.join("rustc"), "").unwrap();
        let bare = lacks();
        fs::write(bin.join("cargo"), "").unwrap();
        let sourceless = lacks();
        fs::create_dir_all(place.join(RUST_SRC)).unwrap();
        let whole = lacks();
        fs::remove_dir_all(&place).unwrap();

        assert_eq!(
            [before, bare, sourceless, whole],
            ["everything", "cargo", "sources", "nothing"]
        );
    }

    fn found(place: &str) -> Installed {
        let place = Path::new("/").join(place);
        Installed::Complete(place.join("rustc"), place.join("cargo"))
    }
}
