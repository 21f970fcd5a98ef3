//! How much systemd's units leave open, by systemd's own judgement.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use integration::lab;

const UNITS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../configs/systemd");
const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/standalone.md");

/// Judgements differ between versions of systemd; this is the margin.
const MARGIN: f64 = 0.5;

#[test]
fn the_units_leave_no_more_open_than_the_document_says() {
    if !lab::is_there([analyzer()]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let unit = folder.path().join("sluice-agent.service");
    fs::copy(Path::new(UNITS).join("sluice-agent.service"), &unit).unwrap();

    let whole = exposure(&unit).unwrap();
    let drop_ins = folder.path().join("sluice-agent.service.d");
    fs::create_dir(&drop_ins).unwrap();
    fs::copy(
        Path::new(UNITS).join("announcer.conf"),
        drop_ins.join("announcer.conf"),
    )
    .unwrap();
    let announcer = exposure(&unit).unwrap();

    let operator = exposure(&Path::new(UNITS).join("sluice-operator.service")).unwrap();

    let document = fs::read_to_string(DOCUMENT).unwrap();
    for (figure, said) in [
        (whole, said(&document, "an exposure of ").unwrap()),
        (announcer, said(&document, "as a drop-in it is ").unwrap()),
        (operator, said(&document, "without capabilities: ").unwrap()),
    ] {
        assert!(
            figure <= said + MARGIN,
            "{figure}, and the document says {said}"
        );
    }
    assert!(announcer < whole);
}

fn analyzer() -> Result<PathBuf> {
    let program = PathBuf::from("/usr/bin/systemd-analyze");
    ensure!(program.is_file(), "systemd-analyze is not installed");
    Ok(program)
}

/// What systemd says of a unit: 0 is closed, 10 is open.
fn exposure(unit: &Path) -> Result<f64> {
    let output = Command::new(analyzer()?)
        .args(["security", "--offline=true", "--no-pager"])
        .arg(unit)
        .output()
        .context("running systemd-analyze")?;
    let text = String::from_utf8(output.stdout)?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(said.is_empty(), "the unit has faults: {said}");
    let figure = text.lines().find_map(|line| {
        let (_, after) = line.split_once("Overall exposure level for ")?;
        after.split(' ').nth(1)
    });
    figure.context("no figure")?.parse().context("no figure")
}

/// The figure after some words of the document.
fn said(document: &str, words: &str) -> Result<f64> {
    let (_, after) = document
        .split_once(words)
        .context("the document says nothing")?;
    let figure: String = after
        .chars()
        .take_while(|c| c.is_ascii_digit() || *c == '.')
        .collect();
    figure.trim_end_matches('.').parse().context("no figure")
}
