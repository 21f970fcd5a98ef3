//! Development commands: `cargo xtask deps` checks the direction of dependencies.

mod deps;
mod layers;

use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask COMMAND

  deps    check every crate's dependencies against its layer
";

fn main() -> ExitCode {
    let command = std::env::args().nth(1);
    let outcome = match command.as_deref() {
        Some("deps") => deps::check(),
        Some(_) | None => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:?}");
            ExitCode::FAILURE
        }
    }
}
