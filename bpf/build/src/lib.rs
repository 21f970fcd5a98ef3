//! Compiles the kernel programs, and embeds them in the crates that load them.
//!
//! All programs go to one folder, `<target>/bpf`, always optimised, under a lock of their own, so
//! several builds of the user side share one build of the kernel side. Nothing is compiled while
//! the sources, the compiler and the linker are what they were. `cargo run -p bpf-build` does it by
//! hand and prints the objects' paths.
//!
//! A crate that loads programs has a build script of two lines:
//!
//! ```text
//! fn main() {
//!     bpf_build::embed("xdp-l4lb");
//! }
//! ```
//!
//! and includes what it wrote, an expression of type `Result<&'static [u8], &'static str>`:
//!
//! ```text
//! /// The kernel programs, or why they are not there.
//! pub static OBJECT: Result<&[u8], &str> = include!(concat!(env!("OUT_DIR"), "/xdp-l4lb.rs"));
//! ```
//!
//! Where no compiler for the kernel's target is installed, or `BPF_BUILD=skip` is set, the crate
//! still builds: the value is an error then, whose text names `make setup`. A program that does not
//! compile fails the build. `make setup` ends with `cargo run -p bpf-build`, which makes the build
//! scripts look again.

mod compile;
mod inputs;
mod toolchain;

use std::path::{Path, PathBuf};
use std::{env, fs, io};

pub use compile::build;
pub use toolchain::Toolchain;

/// Every object: its name, which is also the name of the binary that its package builds.
pub const OBJECTS: [&str; 2] = ["bench", "xdp-l4lb"];

/// Why there are no kernel programs.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A tool is not installed.
    #[error("{what}; `make setup` installs what is missing")]
    Missing {
        /// What was looked for, and where.
        what: String,
    },
    /// The build was switched off.
    #[error("building kernel programs is switched off by BPF_BUILD=skip")]
    Skipped,
    /// A file could not be read or written.
    #[error("{doing} {}", path.display())]
    File {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// A tool could not be started.
    #[error("starting {}", tool.display())]
    Start {
        /// The tool.
        tool: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// The compiler refused the programs.
    #[error("compiling the kernel programs failed:\n{output}")]
    Compile {
        /// What it said.
        output: String,
    },
}

/// Where the kernel programs are built: `<target>/bpf`.
#[must_use]
pub fn folder() -> PathBuf {
    target().join("bpf")
}

/// Where an object is once it is built.
#[must_use]
pub fn object(name: &str) -> PathBuf {
    folder().join(format!("{name}.o"))
}

/// Builds the programs and writes `$OUT_DIR/NAME.rs`, for a build script; see the crate's
/// documentation.
///
/// # Panics
///
/// Ends the build script, with the compiler's words, when the programs do not compile.
pub fn embed(name: &str) {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR for build scripts"));
    let expression = match build() {
        Ok(_) => included(&object(name)),
        Err(why @ (BuildError::Missing { .. } | BuildError::Skipped)) => {
            println!("cargo::warning=no kernel programs in this build: {why}");
            let text = format!("this build has no kernel programs: {why}");
            format!("Err({text:?})")
        }
        Err(why) => panic!("{}", chain(&why)),
    };
    fs::write(out.join(format!("{name}.rs")), expression).expect("OUT_DIR can be written to");
    for path in inputs::watched(&root()) {
        println!("cargo::rerun-if-changed={}", path.display());
    }
    println!("cargo::rerun-if-changed={}", compile::stamp().display());
    for variable in ["BPF_BUILD", "BPF_RUSTC", "BPF_CARGO", "CARGO_TARGET_DIR"] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
}

/// An error and its causes on one line.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// The project's own root.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}

/// Cargo's target folder. A relative one is taken from the project's root.
fn target() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => root().join(folder),
        None => root().join("target"),
    }
}

/// Reads the object into the binary at an address that an ELF reader can use.
fn included(object: &Path) -> String {
    format!(
        "{{
    #[repr(C, align(64))]
    struct Aligned<T: ?Sized>(T);
    static OBJECT: &Aligned<[u8]> = &Aligned(*include_bytes!({object:?}));
    Ok(&OBJECT.0)
}}
"
    )
}
