//! Finds a compiler that can build for the kernel's target, and the linker.

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
        let linker = linker(&target.join("tools/bin"))?;
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
    match (env::var_os("BPF_RUSTC"), env::var_os("BPF_CARGO")) {
        (Some(rustc), Some(cargo)) => return Ok((rustc.into(), cargo.into())),
        (None, None) => {}
        (Some(_), None) | (None, Some(_)) => {
            return Err(BuildError::Missing {
                what: "BPF_RUSTC and BPF_CARGO have to be set together".to_owned(),
            });
        }
    }
    nightly()
        .or_else(debian)
        .ok_or_else(|| BuildError::Missing {
            what:
                "no compiler for the kernel's target: neither a rustup nightly with rust-src nor \
               Debian's rustc-web, cargo-web and rust-web-src"
                    .to_owned(),
        })
}

fn nightly() -> Option<(PathBuf, PathBuf)> {
    let sysroot = ask(
        Path::new("rustup"),
        &["run", "nightly", "rustc", "--print", "sysroot"],
    )?;
    let sysroot = Path::new(sysroot.trim());
    complete(sysroot, &sysroot.join("bin"))
}

fn debian() -> Option<(PathBuf, PathBuf)> {
    let bin = Path::new("/usr/bin");
    let sysroot = ask(&bin.join("rustc"), &["--print", "sysroot"])?;
    complete(Path::new(sysroot.trim()), bin)
}

fn complete(sysroot: &Path, bin: &Path) -> Option<(PathBuf, PathBuf)> {
    let (rustc, cargo) = (bin.join("rustc"), bin.join("cargo"));
    (sysroot.join(RUST_SRC).is_dir() && rustc.is_file() && cargo.is_file())
        .then_some((rustc, cargo))
}

fn linker(tools: &Path) -> Result<PathBuf, BuildError> {
    let path = env::var_os("PATH").unwrap_or_default();
    std::iter::once(tools.to_path_buf())
        .chain(env::split_paths(&path))
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
