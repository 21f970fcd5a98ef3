//! `make bench`: measures, prints a table and writes `target/bench/AREA.json`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let area = std::env::args().nth(1).unwrap_or_else(|| "all".to_owned());
    // In a lab, for a bpffs of its own: nothing pinned on this machine is touched.
    match integration::lab::run_program(|lab| integration::bench::run(lab, &area).map(|()| 0)) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("sluice-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
