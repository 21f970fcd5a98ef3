//! Reads the manifests that a command is given.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use api::Key;
use store::manifest::{Manifest, parse, read};

/// All manifests in the order given; none if anything is wrong with any of them, which is printed.
pub(super) fn manifests(paths: &[PathBuf]) -> Result<Option<Vec<Manifest>>> {
    let mut all = Vec::new();
    let mut lines = Vec::new();
    for path in paths {
        let (found, faults) = if path == Path::new("-") {
            let mut text = Vec::new();
            let mut input = std::io::stdin().lock();
            input
                .read_to_end(&mut text)
                .context("reading standard input")?;
            parse("(standard input)", &text)
        } else {
            ensure!(path.exists(), "{} does not exist", path.display());
            read(path)
        };
        all.extend(found);
        lines.extend(faults.iter().map(ToString::to_string));
    }
    lines.extend(twice(&all));
    for line in &lines {
        eprintln!("{line}");
    }
    Ok(lines.is_empty().then_some(all))
}

/// Within one path that is found already.
fn twice(all: &[Manifest]) -> Vec<String> {
    let mut seen: BTreeMap<&Key, &Manifest> = BTreeMap::new();
    let mut lines = Vec::new();
    for manifest in all {
        if let Some(first) = seen.insert(&manifest.key, manifest) {
            let (file, line) = (&manifest.file, manifest.line);
            let also = format_args!("{}:{}", first.file, first.line);
            lines.push(format!(
                "{file}:{line}: {}: (object): is there more than once: also at {also}",
                manifest.key
            ));
        }
    }
    lines
}
