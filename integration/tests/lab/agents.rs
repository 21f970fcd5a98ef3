//! The agent as a process: two of them, its socket, its end, its metrics.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use integration::topology::single::RACK_MTU;
use integration::{lab, until};

use crate::node::{METRICS, Node, PATIENCE, VIPS, base, metrics, web};

/// A second agent with the same state directory ends at once and names the holder's process, and so
/// does a reset of the state; the first goes on.
#[test]
fn a_second_agent_with_the_same_state_directory_names_the_first() {
    lab::run_programs(|lab| {
        let node = Node::with_web(lab)?;
        let elsewhere = |text: String| text.replace("agent.sock", "other.sock");

        let second = node.agent.run_other(elsewhere, &[])?;

        let said = String::from_utf8_lossy(&second.stderr).into_owned();
        let holder = format!("process {}", node.agent.process()?.id());
        let state = node.agent.state_dir();
        ensure!(second.status.code() == Some(1), "{}: {said}", second.status);
        ensure!(said.contains(&holder), "no {holder:?} in: {said}");
        ensure!(said.contains(&*state.to_string_lossy()), "{said}");
        let reset = node.agent.run_other(elsewhere, &["--reset-state"])?;
        let said = String::from_utf8_lossy(&reset.stderr).into_owned();
        ensure!(
            reset.status.code() == Some(1),
            "the state of {holder} was reset"
        );
        ensure!(said.contains(&holder), "no {holder:?} in: {said}");
        node.ready()?;
        node.never_withdrawn()
    });
}

/// A second agent with the same socket ends at once and names it; the first goes on answering.
#[test]
fn a_second_agent_with_the_same_socket_ends_and_names_it() {
    lab::run_programs(|lab| {
        let node = Node::with_web(lab)?;

        let second = node.agent.run_other(|text| text, &[])?;

        let said = String::from_utf8_lossy(&second.stderr).into_owned();
        let socket = node.agent.socket().display().to_string();
        ensure!(second.status.code() == Some(1), "{}: {said}", second.status);
        ensure!(
            said.contains(&format!("another agent listens at {socket}")),
            "{said}"
        );
        node.ready()?;
        node.never_withdrawn()
    });
}

/// Clients of the socket that hang up in mid-request, send garbage, or come two hundred at once do
/// the agent no harm, and cost it nothing once they are gone.
#[test]
fn bad_clients_of_the_socket_do_no_harm() {
    lab::run_programs(|lab| {
        let mut node = Node::with_web(lab)?;
        node.ready()?;
        let before = node.descriptors()?;
        let connect = || UnixStream::connect(node.agent.socket()).context("connecting");

        for request in [
            &b"GET /v1/sta"[..],
            b"GET /v1/status HTTP/1.1\r\nhost: x\r\n\r\n",
            b"PUT /v1/drains/10.3.0.21:80 HTTP/1.1\r\nhost: x\r\n",
            b"\0\xff\xfe garbage \r\n\r\n\r\n",
            &[b'A'; 1 << 17],
        ] {
            for _ in 0..20 {
                let mut client = connect()?;
                // The agent may hang up first: that is an answer too.
                let _ = client.write_all(request);
            }
        }
        let crowd = (0..200).map(|_| connect()).collect::<Result<Vec<_>>>()?;
        for mut client in &crowd {
            client.write_all(b"GET /v1/status HTTP/1.1\r\nhost: x\r\n")?;
        }
        node.ready()?;
        for mut client in &crowd {
            client.set_read_timeout(Some(Duration::from_secs(10)))?;
            client.write_all(b"connection: close\r\n\r\n")?;
        }
        for mut client in &crowd {
            let mut answer = String::new();
            client.read_to_string(&mut answer)?;
            ensure!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        }
        drop(crowd);

        until("their descriptors are closed", PATIENCE, || {
            let now = node.descriptors()?;
            ensure!(now <= before + 2, "{now} descriptors, {before} before");
            Ok(())
        })?;
        node.agent.check_running()?;
        let drained = node.agent.status()?.drained;
        ensure!(drained.is_empty(), "a half request drained {drained:?}");
        node.never_withdrawn()
    });
}

/// SIGTERM ends the agent with status 0; packets to the VIP are answered without it, and the router
/// keeps its routes until it is back (graceful restart), which withdraws nothing.
#[test]
fn a_graceful_stop_leaves_routes_and_datapath_until_the_return() {
    lab::run_programs(|lab| {
        let mut node = Node::with_web(lab)?;

        node.agent.stop()?;

        ensure!(!node.agent.socket().exists(), "the socket stayed");
        let shown = node.router.show("show protocols all edge")?;
        ensure!(!shown.contains("Established"), "{shown}");
        node.answers(&VIPS)?;
        node.announced(&VIPS)?;
        node.agent.start()?;
        node.established("tor")?;
        node.ready()?;
        ensure!(node.agent.status()?.stores == 0, "tables were changed");
        node.never_withdrawn()
    });
}

/// An agent that is killed is started again over its own socket file, changes nothing in the
/// kernel's tables, and the router never loses a route.
#[test]
fn a_killed_agent_returns_and_changes_nothing() {
    lab::run_programs(|lab| {
        let mut node = Node::with_web(lab)?;

        node.agent.kill()?;

        ensure!(
            node.agent.socket().exists(),
            "a killed agent cannot tidy up"
        );
        node.answers(&VIPS)?;
        node.agent.start()?;
        node.established("tor")?;
        node.ready()?;
        ensure!(node.agent.status()?.stores == 0, "tables were changed");
        node.never_withdrawn()
    });
}

/// The metrics are text that a scraper reads to its end, with Cilium's names where it has one.
#[test]
fn metrics_have_the_names_that_cilium_users_know() {
    lab::run_programs(|lab| {
        let files = [("10-base.yaml", base()), ("web.yaml", web())];
        let node = Node::start_with(lab, RACK_MTU, METRICS, &files)?;
        node.announced(&VIPS)?;
        node.answers(&VIPS)?;
        node.ready()?;

        let text = metrics(&node)?;

        ensure!(text.trim_end().ends_with("# EOF"), "{text}");
        for (name, labels, value) in [
            (
                "cilium_bgp_control_plane_session_state",
                "neighbor=\"[fd00:2:11::1]:179\"",
                "1",
            ),
            (
                "cilium_bgp_control_plane_advertised_routes",
                "afi=\"ipv4\"",
                "1",
            ),
            (
                "cilium_bgp_control_plane_advertised_routes",
                "afi=\"ipv6\"",
                "1",
            ),
            (
                "cilium_bgp_control_plane_received_routes",
                "afi=\"ipv4\"",
                "0",
            ),
            ("sluicegate_agent_ready", "", "1"),
            ("sluicegate_agent_vips_ready", "", "2"),
            ("sluicegate_agent_refused_objects", "", "0"),
        ] {
            let mut lines = text.lines().filter(|line| !line.starts_with('#'));
            let found = lines
                .find(|line| line.starts_with(name) && line.contains(labels))
                .with_context(|| format!("no {name} with {labels}:\n{text}"))?;
            ensure!(found.ends_with(&format!(" {value}")), "{found}");
        }
        Ok(())
    });
}

/// A scraper that hangs up or never asks does not keep the others from their answer.
#[test]
fn a_scraper_that_stays_silent_is_no_ones_problem() {
    lab::run_programs(|lab| {
        let files = [("10-base.yaml", base())];
        let node = Node::start_with(lab, RACK_MTU, METRICS, &files)?;
        node.ready()?;

        let silent = node.network.edge.enter(|| -> Result<Vec<TcpStream>> {
            (0..50)
                .map(|number| {
                    let mut stream = TcpStream::connect("127.0.0.1:9963")?;
                    stream.write_all(b"GET /metr")?;
                    if number % 2 == 0 {
                        stream.shutdown(Shutdown::Both)?;
                    }
                    Ok(stream)
                })
                .collect()
        })?;

        ensure!(
            metrics(&node)?.contains("sluicegate_agent_ready 1"),
            "not ready"
        );
        drop(silent);
        Ok(())
    });
}

impl Node {
    /// How many descriptors the agent has open.
    fn descriptors(&self) -> Result<usize> {
        let folder = format!("/proc/{}/fd", self.agent.process()?.id());
        Ok(std::fs::read_dir(folder)?.count())
    }
}
