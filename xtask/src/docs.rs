//! Checks that the documents name files and tests that exist.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// Documents at the root; those in `docs/` are found.
const AT_ROOT: [&str; 4] = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
];

/// Test names are sentences: at least this many words, joined by underscores.
const WORDS: usize = 4;

/// Words that begin the names of metrics and of the kernel's functions.
const OTHERS: [&str; 3] = ["bpf_", "cilium_", "sluicegate_"];

/// Checks every document.
///
/// # Errors
/// If one names a source file or a test that is not there; each is printed.
pub(crate) fn check() -> Result<()> {
    let sources = sources()?;
    let mut faults = Vec::new();
    let mut names = 0;
    for document in documents()? {
        let text = fs::read_to_string(&document)
            .with_context(|| format!("reading {}", document.display()))?;
        for name in quoted(&text) {
            let exists = if is_path(name) {
                Path::new(name).exists()
            } else if is_sentence(name) {
                sources.contains(&format!("fn {name}("))
            } else {
                continue;
            };
            names += 1;
            if !exists {
                faults.push(format!("{}: `{name}` does not exist", document.display()));
            }
        }
    }
    if faults.is_empty() {
        println!("{names} files and tests are named in the documents, and exist");
        return Ok(());
    }
    bail!("{}", faults.join("\n"))
}

fn documents() -> Result<Vec<PathBuf>> {
    let mut documents: Vec<PathBuf> = AT_ROOT.iter().map(PathBuf::from).collect();
    for entry in fs::read_dir("docs").context("listing docs")? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "md") {
            documents.push(path);
        }
    }
    Ok(documents)
}

/// Every Rust file of the project, as one text.
fn sources() -> Result<String> {
    let output = Command::new("git")
        .args(["ls-files", "*.rs"])
        .output()
        .context("git ls-files")?;
    let files = String::from_utf8(output.stdout).context("a file name is no text")?;
    let mut all = String::new();
    for file in files.lines() {
        // A file that was removed and not yet committed is listed too.
        all.push_str(&fs::read_to_string(file).unwrap_or_default());
    }
    Ok(all)
}

/// What stands between backquotes, fenced blocks aside.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split("```")
        .step_by(2)
        .flat_map(|part| part.split('`').skip(1).step_by(2))
}

fn is_path(name: &str) -> bool {
    name.contains('/') && name.ends_with(".rs") && !name.contains([' ', '*', '<'])
}

fn is_sentence(name: &str) -> bool {
    name.chars()
        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && name.split('_').filter(|word| !word.is_empty()).count() >= WORDS
        && !OTHERS.iter().any(|other| name.starts_with(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_outside_fenced_blocks_only() {
        let text = "see `a/b.rs` and\n```\n`c/d.rs`\n```\nand `a_test_says_what_it_proves`";

        let names: Vec<_> = quoted(text)
            .filter(|name| is_path(name) || is_sentence(name))
            .collect();

        assert_eq!(names, ["a/b.rs", "a_test_says_what_it_proves"]);
    }
}
