//! Development commands: checks of the dependencies' direction and of what the documents name.

mod deps;
mod docs;
mod layers;

use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask COMMAND

  deps    check every crate's dependencies against its layer
  docs    check that the files and tests named in the documents exist
";

fn main() -> ExitCode {
    let command = std::env::args().nth(1);
    let outcome = match command.as_deref() {
        Some("deps") => deps::check(),
        Some("docs") => docs::check(),
        Some(_) | None => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
