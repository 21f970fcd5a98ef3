//! Runs the compiler, unless its output is there already.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, io};

use crate::{BuildError, OBJECTS, Toolchain, folder, inputs, object, root, target};

const TRIPLE: &str = "bpfel-unknown-none";

/// What the compiler and the linker are told beside the profile.
///
/// v3 is the newest instruction set of kernel 6.1.
const FLAGS: [&str; 3] = ["-Cdebuginfo=2", "-Clink-arg=--btf", "-Ctarget-cpu=v3"];

/// Compiles the kernel programs if anything changed and returns the objects' paths.
///
/// # Errors
///
/// [`BuildError::Missing`] or [`BuildError::Skipped`] when nothing was tried, others when it failed.
pub fn build() -> Result<Vec<PathBuf>, BuildError> {
    let folder = folder();
    fs::create_dir_all(&folder).map_err(|source| BuildError::File {
        doing: "creating",
        path: folder.clone(),
        source,
    })?;
    let _lock = lock(&folder.join("lock"))?;
    let outcome = build_locked(&folder);
    let state = match &outcome {
        Ok(digest) => format!("{digest:016x}\n"),
        Err(why) => format!("{why}\n"),
    };
    write_if_changed(&stamp(), &state)?;
    outcome.map(|_| OBJECTS.iter().map(|name| object(name)).collect())
}

/// Holds the last outcome, so that it changes when a build script has to look again.
pub(crate) fn stamp() -> PathBuf {
    folder().join("state")
}

/// An outer cargo speaks of itself in the environment; the inner one is another build.
pub(crate) fn forget_the_outer_build(command: &mut Command) {
    const KEPT: [&str; 4] = [
        "CARGO_HOME",
        "CARGO_BUILD_JOBS",
        "CARGO_HTTP_",
        "CARGO_NET_",
    ];
    for (name, _) in env::vars_os() {
        let Some(name) = name.to_str() else { continue };
        let ours = ["CARGO", "RUSTC", "RUSTDOC", "RUSTFLAGS", "RUSTUP_TOOLCHAIN"];
        if ours.iter().any(|start| name.starts_with(start))
            && !KEPT.iter().any(|kept| name.starts_with(kept))
        {
            command.env_remove(name);
        }
    }
    command.env_remove("MAKEFLAGS").env_remove("TARGET");
}

fn build_locked(folder: &Path) -> Result<u64, BuildError> {
    if env::var_os("BPF_BUILD").is_some_and(|value| value == "skip") {
        return Err(BuildError::Skipped);
    }
    let toolchain = Toolchain::find(&target())?;
    let mut others = toolchain.identity();
    others.extend(FLAGS.map(str::to_owned));
    let digest = inputs::digest(&root(), &others)?;
    let before = fs::read_to_string(stamp()).unwrap_or_default();
    let built = OBJECTS.iter().all(|name| object(name).is_file());
    if built && before.trim() == format!("{digest:016x}") {
        return Ok(digest);
    }
    compile(&toolchain, folder)?;
    for name in OBJECTS {
        let made = folder.join("cargo").join(TRIPLE).join("release").join(name);
        publish(&made, &object(name)).map_err(|source| BuildError::File {
            doing: "publishing",
            path: made,
            source,
        })?;
    }
    Ok(digest)
}

fn compile(toolchain: &Toolchain, folder: &Path) -> Result<(), BuildError> {
    let mut flags = vec![format!("--cfg=bpf_target_arch=\"{}\"", env::consts::ARCH)];
    flags.extend(FLAGS.map(str::to_owned));
    let mut command = Command::new(&toolchain.cargo);
    forget_the_outer_build(&mut command);
    command
        .args(["build", "--release", "--locked", "--bins"])
        .args(["--target", TRIPLE, "-Zbuild-std=core"])
        .arg("--manifest-path")
        .arg(root().join("bpf/kernel/Cargo.toml"))
        .arg("--workspace")
        .arg("--target-dir")
        .arg(folder.join("cargo"))
        .env("RUSTC", &toolchain.rustc)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
        .env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", &toolchain.linker);
    let output = command.output().map_err(|source| BuildError::Start {
        tool: toolchain.cargo.clone(),
        source,
    })?;
    if output.status.success() {
        return Ok(());
    }
    Err(BuildError::Compile {
        output: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// Whoever reads the object at this moment reads the old one or the new one.
fn publish(made: &Path, object: &Path) -> io::Result<()> {
    let new = object.with_extension("new");
    fs::copy(made, &new)?;
    fs::rename(new, object)
}

fn lock(path: &Path) -> Result<File, BuildError> {
    let locked = File::create(path).and_then(|file| file.lock().map(|()| file));
    locked.map_err(|source| BuildError::File {
        doing: "locking",
        path: path.to_path_buf(),
        source,
    })
}

fn write_if_changed(path: &Path, text: &str) -> Result<(), BuildError> {
    if fs::read_to_string(path).is_ok_and(|before| before == text) {
        return Ok(());
    }
    let written = File::create(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|source| BuildError::File {
        doing: "writing",
        path: path.to_path_buf(),
        source,
    })
}
