//! The server in the pods, and the clients that count what is lost.

use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::ensure;
use integration::lab::{self, built_program};
use integration::traffic::{Load, get};
use integration::{Patience, until};
use nix::sys::signal::Signal;

/// Asked to end, the server in a pod answers new requests for the time it was given, ends by itself
/// and well, and only then do requests fail: a rolling update has that long to move clients.
#[test]
fn a_server_that_is_asked_to_end_serves_on_for_its_time() {
    if !lab::is_there([built_program("sluice-pod")]) {
        return;
    }
    lab::run(|lab| {
        let host = lab.host("pod")?;
        let to = SocketAddr::from((Ipv6Addr::LOCALHOST, 80));
        let environment = ["POD_NAME=web", "NODE_NAME=n1", "DRAIN_SECS=2"];
        let program = built_program("sluice-pod")?;
        let program = program.to_string_lossy();
        let args: Vec<&str> = environment
            .into_iter()
            .chain([&*program, "serve"])
            .collect();
        let pod = host.spawn("pod", "env", &args)?;
        let first = until("the server answers", Patience::START, || get(&host, to))?;

        let load = Load::start(&host, &[to], 2);
        load.answers(10)?;
        pod.signal(Signal::SIGTERM)?;
        load.answers(40)?;
        let draining = load.so_far();
        let status = pod.stop(Patience(Duration::from_secs(10)))?;
        until("a request fails", Patience::START, || {
            ensure!(load.so_far().failed > 0, "all are answered");
            Ok(())
        })?;
        let after = load.finish()?;

        ensure!(first.backend == "web@n1", "{first:?}");
        ensure!(draining.failed == 0, "{draining}");
        ensure!(status.success(), "it ended with {status}");
        ensure!(after.failed > 0 && !after.failures.is_empty(), "{after}");
        Ok(())
    });
}
