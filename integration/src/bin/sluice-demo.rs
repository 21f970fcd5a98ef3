//! `make demo`: the edge node on real traffic, in a lab of network namespaces.

use std::process::ExitCode;

use integration::demo::{Demo, Say};
use integration::lab;

fn main() -> ExitCode {
    let outcome = lab::run_program(|lab| {
        println!("The edge node: a VIP from a pool, announced by BGP, balanced in XDP.");
        let say = Say::default();
        let mut demo = Demo::start(lab, &say)?;
        let outcome = demo.run(&say);
        let stays = std::env::var_os("KEEP").is_some_and(|keep| !keep.is_empty());
        match &outcome {
            Ok(()) => println!("\nEvery step was as it should be."),
            Err(error) if stays => println!("\nFAILED: {error:#}"),
            Err(_) => {}
        }
        if stays {
            keep(&demo.commands());
        }
        outcome.map(|()| 0)
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
fn keep(commands: &[String]) -> ! {
    println!("\nThe lab stays up until you press Ctrl-C. In another terminal, as root:\n");
    println!("  {} bash", lab::enter_command());
    println!("\nand there, for example:\n");
    for command in commands {
        println!("  {command}");
    }
    loop {
        nix::unistd::pause();
    }
}
