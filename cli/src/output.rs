//! Prints an answer as a table or as one document.

use std::io::{self, Write as _};

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::args::Output;

/// Prints `answer` as `output` says; `table` makes the text for a person, wide or not.
pub(crate) fn print<T: Serialize>(
    output: Output,
    answer: &T,
    table: impl FnOnce(&T, bool) -> String,
) -> Result<()> {
    let text = match output {
        Output::Table => table(answer, false),
        Output::Wide => table(answer, true),
        Output::Json => serde_json::to_string_pretty(answer).context("writing JSON")? + "\n",
        Output::Yaml => serde_saphyr::to_string(answer).context("writing YAML")?,
    };
    match io::stdout().lock().write_all(text.as_bytes()) {
        // The reader has seen enough (`sluice ... | head`).
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome.context("writing to standard output"),
    }
}
