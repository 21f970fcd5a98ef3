//! The lab itself.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::ensure;
use integration::topology::Edge;
use integration::traffic::{Server, Transfer, get_many};
use integration::{Patience, lab, until};

/// A client reaches a backend's server through the routers in both families, bytes are checked,
/// and a silently cut wire stops traffic while its carrier stays.
#[test]
fn the_edge_network_carries_traffic_and_its_wires_can_be_cut() {
    lab::run(|lab| {
        let network = Edge::build(lab)?;
        let backend = &network.backends[0];
        let _server = Server::start(backend, 80)?;

        for addr in ["10.3.0.21:80", "[fd00:3::21]:80"] {
            let to: SocketAddr = addr.parse()?;
            let spread = get_many(&network.client, to, 20)?;
            ensure!(spread.get("backend1") == Some(&20), "{spread:?}");
            Transfer::start(&network.client, to, 7, 20, Duration::ZERO).finish()?;
        }

        let edge = network.edge(0)?;
        let ping = || edge.run("ping", &["-c1", "-W1", "10.2.11.1"]);
        until("the first ping", Patience::START, ping)?;
        for wire in network.wires_of(edge) {
            wire.set_silent(true)?;
        }
        ensure!(ping().is_err(), "the wire still carries");
        ensure!(
            edge.ip("link show tor1")?.contains("LOWER_UP"),
            "the carrier went too"
        );
        for wire in network.wires_of(edge) {
            wire.set_silent(false)?;
            wire.set_carrier(false)?;
        }
        ensure!(
            edge.ip("link show tor1")?.contains("NO-CARRIER"),
            "the carrier stayed"
        );
        for wire in network.wires_of(edge) {
            wire.set_carrier(true)?;
        }
        until("the link is back", Patience::START, ping)?;
        Ok(())
    });
}
