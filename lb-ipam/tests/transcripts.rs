//! Runs the transcripts in `tests/steps`.
//!
//! Lines that start with `>` and follow one another are one change; the lines with `<` below are
//! all that must come out of it. `> at 60s` says when it comes. In the first line of a file `enabled v4`
//! disables the other family, and `grace 60s` is for how long addresses stay that no pool has.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use lb_ipam::{Allocator, Delta, Time};
use types::Family;

#[test]
fn every_transcript_comes_out_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/steps");
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(!files.is_empty());

    for file in files {
        let written = fs::read_to_string(&file).unwrap();

        let seen = replay(&written);

        assert!(seen == written, "{} comes out as\n{seen}", file.display());
    }
}

/// The same transcript with the output lines that come out.
fn replay(transcript: &str) -> String {
    let options = transcript.lines().next().unwrap_or_default();
    let enabled = match options {
        "# enabled v4" => &[Family::V4][..],
        _ => &Family::BOTH,
    };
    let grace = options.strip_prefix("# grace ").map(support::time);
    let mut allocator = Allocator::new(enabled);
    let mut now = Time::ZERO;
    let mut delta = Delta {
        grace: Some(grace.unwrap_or_default()),
        ..Delta::default()
    };
    let mut seen = String::new();
    let mut pending = false;
    for line in transcript.lines().chain([""]) {
        if let Some(input) = line.strip_prefix("> ") {
            match input.strip_prefix("at ") {
                Some(time) => now = support::time(time),
                None => support::read(input, &mut delta),
            }
            pending = true;
        } else if pending {
            for action in allocator.on_change(now, std::mem::take(&mut delta)) {
                writeln!(seen, "< {}", support::write(&action)).unwrap();
            }
            pending = false;
        }
        if !line.starts_with('<') {
            writeln!(seen, "{line}").unwrap();
        }
    }
    // The empty line added above closes the last change and is not part of the file.
    seen.pop();
    seen
}
