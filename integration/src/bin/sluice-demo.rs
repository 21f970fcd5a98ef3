//! `make demo`: the edge node on real traffic, in a lab of network namespaces.

use std::process::ExitCode;

use anyhow::Result;
use integration::demo::{self, Demo, Say};
use integration::lab;

fn main() -> ExitCode {
    let outcome = lab::run_program(|lab| {
        println!("The edge node: a VIP from a pool, announced by BGP, balanced in XDP.");
        let demo = demo::run(lab, &Say::default())?;
        println!("\nEvery step was as it should be.");
        if std::env::var_os("KEEP").is_some_and(|keep| !keep.is_empty()) {
            keep(&demo)?;
        }
        Ok(0)
    });
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("\nFAILED: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Leaves the lab up until the person who asked for it ends the program.
fn keep(demo: &Demo) -> Result<()> {
    println!("\nThe lab stays up until you press Ctrl-C. In another terminal, as root:\n");
    println!("  {} bash", lab::enter_command());
    println!("\nand there, for example:\n");
    for command in demo.commands() {
        println!("  {command}");
    }
    loop {
        nix::unistd::pause();
    }
}
