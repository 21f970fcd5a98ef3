//! `make demo` and `make lab`: the product on real traffic, in a lab of network namespaces.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use integration::demo::{Demo, KubernetesDemo, Say};
use integration::lab::{self, Lab};

/// How long the demonstration stops the API server.
const OUTAGE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let which = std::env::args().nth(1).unwrap_or_else(|| "edge".to_owned());
    let outcome = lab::run_program(|lab| {
        match which.as_str() {
            "edge" => edge(lab)?,
            "kubernetes" => kubernetes(lab)?,
            "lab" => play(lab)?,
            other => bail!("there is no demonstration {other:?}: edge, kubernetes, or lab"),
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

fn edge(lab: &Lab) -> Result<()> {
    println!("The edge node: a VIP from a pool, announced by BGP, balanced in XDP.");
    let say = Say::default();
    let mut demo = Demo::start(lab, &say)?;
    let outcome = demo.run(&say);
    finish(outcome, || demo.commands())
}

fn kubernetes(lab: &Lab) -> Result<()> {
    println!(
        "Kubernetes: LoadBalancer addresses from a pool, announced by BGP, beside kube-proxy."
    );
    let say = Say::default();
    let mut demo = KubernetesDemo::start(lab, &say)?;
    let outcome = demo.run(&say, OUTAGE);
    finish(outcome, || demo.commands())
}

/// A cluster to play with.
fn play(lab: &Lab) -> Result<()> {
    let demo = KubernetesDemo::start(lab, &Say::default())?;
    let mut commands = demo.commands();
    let suggestions = demo.suggestions(lab).context("writing what to try")?;
    commands.splice(1..1, suggestions);
    keep(&commands)
}

/// Says how it went, and leaves the lab up where that is wanted.
fn finish(outcome: Result<()>, commands: impl FnOnce() -> Vec<String>) -> Result<()> {
    let stays = std::env::var_os("KEEP").is_some_and(|keep| !keep.is_empty());
    match &outcome {
        Ok(()) => println!("\nEvery step was as it should be."),
        Err(error) if stays => println!("\nFAILED: {error:#}"),
        Err(_) => {}
    }
    if stays {
        keep(&commands());
    }
    outcome
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
