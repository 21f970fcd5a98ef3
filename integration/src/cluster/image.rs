//! The images of the lab: the pods' own program, and a shell for a person who looks inside; and the
//! programs of the product.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::lab::{built_program, command};

/// What pods name it by. It is in no registry: `imagePullPolicy: Never`.
pub const IMAGE: &str = "sluicegate.test/pod:lab";

/// What the chart's pods name theirs by.
pub const PRODUCT_IMAGE: &str = "sluicegate.test/sluicegate:lab";

/// What `Containerfile` puts into the image, and the names it answers to.
const PRODUCT: [(&str, &[&str]); 3] = [
    ("sluice-agent", &[]),
    ("sluice-operator", &[]),
    ("sluice", &["cilium", "cilium-dbg"]),
];

/// Debian's, without libraries.
const BUSYBOX: &str = "/bin/busybox";

/// Writes the pods' image into a folder, as `docker save` would; the file.
pub(super) fn archive(folder: &Path) -> Result<PathBuf> {
    let root = folder.join("root");
    add(&root, "sluice-pod")?;
    copy(Path::new(BUSYBOX), &inside(&root, Path::new(BUSYBOX)))?;
    for name in ["sh", "ls", "cat", "wget", "ip", "ping", "nc"] {
        symlink("busybox", root.join("bin").join(name)).context("naming a command")?;
    }
    let start = r#""Entrypoint":["/bin/sluice-pod"],"Cmd":["pause"],"#;
    save(folder, &root, IMAGE, start)
}

/// Writes the product's image into a folder; the file.
pub(super) fn product(folder: &Path) -> Result<PathBuf> {
    let root = folder.join("root");
    for (program, names) in PRODUCT {
        add(&root, program)?;
        for name in names {
            symlink(program, root.join("bin").join(name)).context("naming a command")?;
        }
    }
    save(folder, &root, PRODUCT_IMAGE, "")
}

/// Puts one of our programs into an image's folder, with its libraries.
fn add(root: &Path, name: &str) -> Result<()> {
    fs::create_dir_all(root.join("bin")).context("creating the image's folder")?;
    let own = built_program(name)?;
    // Every container has a copy: without line tables, it is a tenth.
    command(
        "strip",
        &["-o", &text(&root.join("bin").join(name)), &text(&own)],
    )?;
    for library in libraries(&own)? {
        copy(&library, &inside(root, &library))?;
    }
    Ok(())
}

/// Makes an image of a folder; `start` is what it runs, as its configuration says it.
fn save(folder: &Path, root: &Path, name: &str, start: &str) -> Result<PathBuf> {
    let layer = folder.join("layer.tar");
    command(
        "tar",
        &[
            "-C",
            &text(root),
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
        r#"{{"architecture":"amd64","os":"linux","config":{{{start}"Env":["PATH=/bin"]}},"rootfs":{{"type":"layers","diff_ids":["sha256:{sum}"]}}}}"#
    );
    let manifest =
        format!(r#"[{{"Config":"config.json","RepoTags":["{name}"],"Layers":["layer.tar"]}}]"#);
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

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
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
