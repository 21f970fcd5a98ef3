//! What a VIP answers by itself: ping, packets that are too big; and errors about its flows.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use integration::lab::Lab;
use integration::topology::manifests::{endpoints, service};
use integration::topology::single::{RACK_MTU, RunningBackend};
use integration::traffic::{Transfer, get};
use integration::{lab, until};

use crate::node::{Node, PATIENCE, VIPS, base};

/// A VIP answers every ping in both families, small and large, and each answer is counted.
#[test]
fn a_vip_answers_ping_in_both_families() {
    lab::run_programs(|lab| {
        let node = Node::with_web(lab)?;
        node.answers(&VIPS)?;

        for vip in VIPS {
            for size in ["0", "56", "1400"] {
                let args = ["-c5", "-i0.02", "-W2", "-s", size, vip];
                let said = node.network.client.run("ping", &args)?;
                ensure!(said.contains(" 0% packet loss"), "{said}");
            }
        }

        let verdicts = node.agent.lb()?.verdicts;
        let mut counted = verdicts.iter().filter(|(name, _)| name == "echo_replied");
        ensure!(counted.any(|(_, count)| *count >= 30), "{verdicts:?}");
        Ok(())
    });
}

/// Nothing of the node's own answers at a VIP: a port that no service has leads nowhere, even where
/// a program of the node listens at every address.
#[test]
fn the_nodes_own_programs_are_not_reached_through_a_vip() {
    lab::run_programs(|lab| {
        let node = Node::with_web(lab)?;
        node.answers(&VIPS)?;
        let own = || TcpListener::bind("[::]:22").context("listening");
        let _own = node.network.edge.enter(own)?;
        let dial = |to: SocketAddr| {
            let limit = Duration::from_millis(300);
            node.network
                .client
                .enter(|| TcpStream::connect_timeout(&to, limit))
        };
        until("the node itself answers", PATIENCE, || {
            Ok(dial("10.2.11.2:22".parse()?)?)
        })?;

        for vip in VIPS {
            let outcome = dial(SocketAddr::new(vip.parse()?, 22));
            ensure!(outcome.is_err(), "the node's own program answered at {vip}");
        }
        Ok(())
    });
}

/// A client whose packets do not fit into the encapsulation on the way to the backends is told the
/// size that does, by the VIP, in both families; its upload then goes through.
#[test]
fn a_client_with_too_big_packets_is_told_the_size_that_fits() {
    lab::run_programs(|lab| {
        let (node, _backends) = serving(lab, 1500)?;

        for (vip, fits) in VIPS.into_iter().zip(["mtu 1480", "mtu 1460"]) {
            let to = SocketAddr::new(vip.parse()?, 80);
            until("the backends answer", PATIENCE, || {
                get(&node.network.client, to)
            })?;
            node.network.client.enter(|| upload(to, 200_000))?;
            let learned = node.network.client.ip(&format!("route get {vip}"))?;
            ensure!(learned.contains(fits), "no {fits:?}: {learned}");
        }
        Ok(())
    });
}

/// A router's word that a backend's answers are too big for the client's link comes to the VIP, and
/// from there to the backend whose flow it is about: the download goes through.
#[test]
fn an_error_about_a_flow_reaches_its_backend() {
    lab::run_programs(|lab| {
        let (node, _backends) = serving(lab, RACK_MTU)?;
        // Only the router's end: the client still promises to take full segments.
        node.network.tor.ip("link set client mtu 1400")?;

        for vip in VIPS {
            let to = SocketAddr::new(vip.parse()?, 80);
            until("the backends answer", PATIENCE, || {
                get(&node.network.client, to)
            })?;
            for seed in 0..8 {
                Transfer::start(&node.network.client, to, seed, 20, Duration::ZERO).finish()?;
            }
            let mut taught = node.network.backends.iter().filter(|backend| {
                let client = if vip.contains(':') {
                    "fd00:1:1::2"
                } else {
                    "10.1.1.2"
                };
                let route = backend.ip(&format!("route get {client} from {vip}"));
                route.is_ok_and(|route| route.contains("mtu 1400"))
            });
            ensure!(taught.next().is_some(), "no backend has learned the size");
        }
        Ok(())
    });
}

/// A node with a service on both backends, which run.
fn serving(lab: &Lab, rack_mtu: u32) -> Result<(Node, Vec<RunningBackend>)> {
    let all = ["10.3.0.21", "10.3.0.22", "fd00:3::21", "fd00:3::22"];
    let all = all.map(|address| (address, "ready: true"));
    let web = service("web", "") + &endpoints("web", &all);
    let files = [("10-base.yaml", base()), ("web.yaml", web)];
    let node = Node::start_with(lab, rack_mtu, "", &files)?;
    node.announced(&VIPS)?;
    let vips: Vec<IpAddr> = VIPS
        .iter()
        .map(|vip| vip.parse())
        .collect::<Result<_, _>>()?;
    let backends = node.network.serve(&vips)?;
    Ok((node, backends))
}

/// A request whose head is this long.
fn upload(to: SocketAddr, bytes: usize) -> Result<()> {
    let limit = Duration::from_secs(5);
    let mut stream = TcpStream::connect_timeout(&to, limit)?;
    stream.set_read_timeout(Some(limit))?;
    write!(
        stream,
        "GET / HTTP/1.1\r\nx-fill: {}\r\n\r\n",
        "a".repeat(bytes)
    )?;
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer);
    read.with_context(|| format!("uploading to {to}"))?;
    ensure!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    Ok(())
}
