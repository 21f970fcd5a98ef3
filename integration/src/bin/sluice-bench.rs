//! `make bench`: measures, prints a table and writes `target/bench/AREA.json`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let area = std::env::args().nth(1).unwrap_or_else(|| "all".to_owned());
    match integration::bench::run(&area) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sluice-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
