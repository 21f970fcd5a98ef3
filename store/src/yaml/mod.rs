//! Reads a file of YAML documents into trees that know their lines.
//!
//! YAML 1.2 with its core schema: `yes` and `on` are strings, what is quoted is never a number, and
//! JSON is a part of it. Size, depth and what aliases expand to are bounded, so that no file can
//! take the agent's time or memory.

mod build;
mod scalar;
mod tree;

use api::FieldPath;
use saphyr_parser::{Event, Parser};

pub use tree::Document;

/// The largest file that is read.
pub const MAX_BYTES: usize = 8 << 20;

/// The deepest nesting of sequences and mappings that is read.
pub const MAX_DEPTH: usize = 64;

/// What a file may grow to with its aliases written out: its text, and some bytes a node.
pub const MAX_EXPANDED_BYTES: usize = 32 << 20;

/// How many faults of one document are listed.
const MAX_FAULTS: usize = 100;

/// What a node counts for beside its text.
const NODE_BYTES: usize = 16;

/// Why a file cannot be read at all, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct BadYaml {
    /// The line, counted from one.
    pub line: u32,
    /// What is wrong there.
    pub reason: BadYamlReason,
}

/// Why a file cannot be read at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadYamlReason {
    /// More than [`MAX_BYTES`].
    #[error("the file is larger than {} MiB", MAX_BYTES >> 20)]
    TooLarge,
    /// YAML is Unicode; only UTF-8 is read.
    #[error("the file is not text in UTF-8")]
    NotUtf8,
    /// YAML 1.2 §5.1 allows tab, line feed and carriage return only.
    #[error("control character U+{:04X} is not allowed", u32::from(*.0))]
    ControlCharacter(char),
    /// Not YAML.
    #[error("not valid YAML: {0}")]
    Syntax(String),
    /// More than [`MAX_DEPTH`].
    #[error("nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// More than [`MAX_EXPANDED_BYTES`].
    #[error("with its aliases written out the file is larger than {} MiB", MAX_EXPANDED_BYTES >> 20)]
    Expansion,
    /// An alias whose anchor is not there, in another document, or around it.
    #[error("the alias refers to no anchor that ends before it in this document")]
    UnknownAnchor,
}

/// What is wrong with one document whose structure is clear all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeFault {
    /// The line, counted from one.
    pub line: u32,
    /// The path to it.
    pub path: FieldPath,
    /// What is wrong.
    pub reason: TreeFaultReason,
}

/// What is wrong with a part of a document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TreeFaultReason {
    /// The same key twice in one mapping.
    #[error("the key is here twice, first on line {first}")]
    DuplicateKey {
        /// Where it was first.
        first: u32,
    },
    /// A key that is a sequence, a mapping or an alias.
    #[error("a key must be text")]
    KeyIsNotText,
    /// `<<` of YAML 1.1.
    #[error("merge keys (<<) are not part of YAML 1.2: write the fields out")]
    MergeKey,
    /// A tag outside the core schema, or one that the value does not fit.
    #[error("the tag {0} is not known or does not fit the value")]
    Tag(String),
    /// `.inf` and `.nan`, which JSON has no word for.
    #[error("infinity and not-a-number are not allowed")]
    NotFinite,
}

/// Reads the documents of a file. Empty documents are left out.
///
/// # Errors
/// If the file as a whole cannot be read: too large, not text, not YAML, or cut off.
pub fn parse(bytes: &[u8]) -> Result<Vec<Document>, BadYaml> {
    let text = text_of(bytes)?;
    let mut parser = Parser::new_from_str(text);
    let mut builder = build::Builder::default();
    while let Some(next) = parser.next_event() {
        let (event, span) = next.map_err(|error| BadYaml {
            // The end of the text counts as a line of its own.
            line: line_number(error.marker().line().min(text.lines().count())),
            reason: BadYamlReason::Syntax(error.info().to_owned()),
        })?;
        if event == Event::StreamEnd {
            break;
        }
        builder.on_event(event, line_number(span.start.line()))?;
    }
    Ok(builder.documents)
}

/// Reads arbitrary bytes and looks every fault and field up: what a fuzz target runs.
pub fn fuzz_yaml(bytes: &[u8]) {
    let Ok(documents) = parse(bytes) else {
        return;
    };
    for document in documents {
        for fault in document.faults() {
            assert!(document.line() <= document.line_of(fault.path.steps()));
        }
        drop(document.value());
    }
}

/// The bytes as text, if they are text that YAML allows.
///
/// The scanner takes a NUL for the end of its input: what follows would be dropped in silence.
fn text_of(bytes: &[u8]) -> Result<&str, BadYaml> {
    if bytes.len() > MAX_BYTES {
        return Err(BadYaml {
            line: 1,
            reason: BadYamlReason::TooLarge,
        });
    }
    let (text, end) = match std::str::from_utf8(bytes) {
        Ok(text) => (text, None),
        Err(error) => {
            let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
            (
                std::str::from_utf8(valid).unwrap_or_default(),
                Some(BadYamlReason::NotUtf8),
            )
        }
    };
    let control = text
        .char_indices()
        .find(|(_, c)| c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{85}'));
    let (at, reason) = match (control, end) {
        (Some((at, control)), _) => (at, BadYamlReason::ControlCharacter(control)),
        (None, Some(reason)) => (text.len(), reason),
        (None, None) => return Ok(text),
    };
    let line = 1 + text.bytes().take(at).filter(|&b| b == b'\n').count();
    Err(BadYaml {
        line: line_number(line),
        reason,
    })
}

fn line_number(line: usize) -> u32 {
    u32::try_from(line).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests;
