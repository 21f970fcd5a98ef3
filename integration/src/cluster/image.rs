//! The one image of the lab: the pods' own program, and a shell for a person who looks inside.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::lab::{built_program, command};

/// What pods name it by. It is in no registry: `imagePullPolicy: Never`.
pub const IMAGE: &str = "sluicegate.test/pod:lab";

/// Debian's, without libraries.
const BUSYBOX: &str = "/bin/busybox";

/// Writes the image into a folder, as `docker save` would; the file.
pub(super) fn archive(folder: &Path) -> Result<PathBuf> {
    let root = folder.join("root");
    fs::create_dir_all(root.join("bin")).context("creating the image's folder")?;
    let own = built_program("sluice-pod")?;
    // Every container has a copy: without line tables, it is a tenth.
    let text = |path: &Path| path.to_string_lossy().into_owned();
    command(
        "strip",
        &["-o", &text(&root.join("bin/sluice-pod")), &text(&own)],
    )?;
    for library in libraries(&own)? {
        copy(&library, &inside(&root, &library))?;
    }
    copy(Path::new(BUSYBOX), &inside(&root, Path::new(BUSYBOX)))?;
    for name in ["sh", "ls", "cat", "wget", "ip", "ping", "nc"] {
        symlink("busybox", root.join("bin").join(name)).context("naming a command")?;
    }
    let layer = folder.join("layer.tar");
    command(
        "tar",
        &[
            "-C",
            &text(&root),
            "--owner=0",
            "--group=0",
            "-cf",
            &text(&layer),
            ".",
        ],
    )?;
    let sum = command("sha256sum", &[&text(&layer)])?;
    let sum = sum.split(' ').next().context("sha256sum printed nothing")?;
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","config":{{"Entrypoint":["/bin/sluice-pod"],"Cmd":["pause"],"Env":["PATH=/bin"]}},"rootfs":{{"type":"layers","diff_ids":["sha256:{sum}"]}}}}"#
    );
    let manifest =
        format!(r#"[{{"Config":"config.json","RepoTags":["{IMAGE}"],"Layers":["layer.tar"]}}]"#);
    fs::write(folder.join("config.json"), config).context("writing the image's configuration")?;
    fs::write(folder.join("manifest.json"), manifest).context("writing the image's manifest")?;
    let image = folder.join("image.tar");
    let files = ["manifest.json", "config.json", "layer.tar"];
    let folder = text(folder);
    let archive = text(&image);
    let args: Vec<&str> = ["-C", &folder, "-cf", &archive]
        .into_iter()
        .chain(files)
        .collect();
    command("tar", &args)?;
    Ok(image)
}

/// The libraries that a program is linked with, its loader included.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let shown = command("ldd", &[&program.to_string_lossy()])?;
    let paths = shown
        .lines()
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')));
    Ok(paths.map(PathBuf::from).collect())
}

fn inside(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let folder = to.parent().context("a file is in a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    fs::copy(from, to).with_context(|| format!("copying {}", from.display()))?;
    Ok(())
}
