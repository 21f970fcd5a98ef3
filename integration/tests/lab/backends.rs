//! Backends: loops, conditions of endpoints, and a service without any.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use agent_api::BackendState;
use anyhow::{Context as _, Result, bail, ensure};
use integration::lab::Lab;
use integration::topology::manifests::{endpoints, service};
use integration::topology::single::RunningBackend;
use integration::traffic::{Transfer, get_many};
use integration::{lab, until};

use crate::node::{Node, PATIENCE, VIPS, base};

/// A backend that is a VIP, or that is this node, would loop: each is named, none gets a packet,
/// and the service goes on with the backend that is good.
#[test]
fn a_backend_that_would_loop_is_named_and_left_out() {
    lab::run_programs(|lab| {
        let node = Node::with_web(lab)?;

        let looping = [
            ("10.3.0.21", "ready: true"),
            ("10.3.0.11", "ready: true"),
            ("192.0.2.0", "ready: true"),
            ("fd00:3::21", "ready: true"),
            ("fd00:2:11::2", "ready: true"),
            ("2001:db8:0:1::", "ready: true"),
        ];
        let text = service("web", "") + &endpoints("web", &looping);
        node.network.manifests.put("web.yaml", text)?;

        for looping in ["192.0.2.0:80", "[2001:db8:0:1::]:80"] {
            node.noted("web", &format!("backend {looping} is itself a VIP"))?;
        }
        for looping in ["10.3.0.11:80", "[fd00:2:11::2]:80"] {
            node.noted("web", &format!("backend {looping} is this node"))?;
        }
        let used: Vec<String> = node
            .agent
            .lb()?
            .services
            .iter()
            .flat_map(|service| &service.backends)
            .map(|backend| backend.address.to_string())
            .collect();
        ensure!(used == ["10.3.0.21", "fd00:3::21"], "{used:?}");
        node.answers(&VIPS)?;
        node.never_withdrawn()
    });
}

/// A terminating endpoint that still serves keeps its transfer and gets no new connection; one
/// that is not ready is out.
#[test]
fn conditions_of_endpoints_are_honoured() {
    lab::run_programs(|lab| {
        let node = Node::start(lab, &[("10-base.yaml", base()), ("web.yaml", web(READY))])?;
        node.announced(&VIPS)?;
        let vips: Vec<IpAddr> = VIPS
            .iter()
            .map(|vip| vip.parse())
            .collect::<Result<_, _>>()?;
        let _backends = node.network.serve(&vips)?;
        for vip in &vips {
            until("both backends answer", PATIENCE, || {
                let spread = get_many(&node.network.client, SocketAddr::new(*vip, 80), 16)?;
                ensure!(spread.len() == 2, "{spread:?}");
                Ok(())
            })?;
        }
        let to = SocketAddr::new(vips[0], 80);
        let transfer = on_backend2(&node, to)?;

        let terminating = "ready: false, serving: true, terminating: true";
        node.network.manifests.put("web.yaml", web(terminating))?;

        state_of_backend2(&node, Some(BackendState::Draining))?;
        let spread = get_many(&node.network.client, to, 32)?;
        ensure!(spread.keys().eq(["backend1"]), "{spread:?}");
        transfer.finish()?;
        node.network
            .manifests
            .put("web.yaml", web("ready: false"))?;
        state_of_backend2(&node, None)?;
        for vip in vips {
            let spread = get_many(&node.network.client, SocketAddr::new(vip, 80), 32)?;
            ensure!(spread.keys().eq(["backend1"]), "{spread:?}");
        }
        node.never_withdrawn()
    });
}

/// A service whose last backend goes is withdrawn from the router, and announced again with the
/// first that returns.
#[test]
fn a_service_without_backends_is_withdrawn() {
    lab::run_programs(|lab| {
        let node = Node::with_web(lab)?;

        node.network.manifests.put("web.yaml", service("web", ""))?;

        node.withdrawn(&VIPS)?;
        node.network.manifests.put("web.yaml", crate::node::web())?;
        node.announced(&VIPS)
    });
}

/// A service that is to refuse when it is empty stays announced, and its clients are refused
/// instead of left to wait.
#[test]
fn an_empty_service_that_is_to_refuse_stays_announced_and_refuses() {
    lab::run_programs(|lab| {
        let refusing = service("web", "    sluicegate.io/when-empty: refuse\n");
        let full = refusing.clone()
            + &endpoints(
                "web",
                &[("10.3.0.21", "ready: true"), ("fd00:3::21", "ready: true")],
            );
        let node = Node::start(lab, &[("10-base.yaml", base()), ("web.yaml", full)])?;
        node.announced(&VIPS)?;

        node.network.manifests.put("web.yaml", refusing)?;

        until("the service is empty", PATIENCE, || {
            let backends = node.service("web")?.backends;
            ensure!(backends.is_empty(), "{backends:?}");
            Ok(())
        })?;
        for vip in VIPS {
            let to = SocketAddr::new(vip.parse()?, 80);
            until("a client is refused", PATIENCE, || refused(&node, to))?;
        }
        node.never_withdrawn()?;
        node.announced(&VIPS)
    });
}

/// The last backend of a service, terminating and still serving, keeps its transfer and gets new
/// connections too, as there is no better.
#[test]
fn the_last_backend_goes_on_while_it_terminates() {
    lab::run_programs(|lab| {
        let (node, to, _backends) = alone(lab)?;
        let transfer = under_way(&node, to)?;

        let terminating = "ready: false, serving: true, terminating: true";
        node.network
            .manifests
            .put("web.yaml", one(terminating) + &marker())?;

        until("the change is in", PATIENCE, || node.service("marker"))?;
        let spread = get_many(&node.network.client, to, 8)?;
        ensure!(spread.get("backend1") == Some(&8), "{spread:?}");
        transfer.finish()?;
        node.never_withdrawn()
    });
}

/// The last backend of a service keeps its transfer while it is drained, gets no new connections, and
/// the route stays for the transfer's sake; undrained it serves again.
#[test]
fn the_last_backend_keeps_its_transfer_while_it_is_drained() {
    lab::run_programs(|lab| {
        let (node, to, _backends) = alone(lab)?;
        let transfer = under_way(&node, to)?;

        node.agent.sluice("service drain 10.3.0.21:80")?;

        until("no new connection is taken", PATIENCE, || {
            ensure!(
                get_many(&node.network.client, to, 1).is_err(),
                "one more was"
            );
            Ok(())
        })?;
        transfer.finish()?;
        node.agent.sluice("service undrain 10.3.0.21:80")?;
        until("the backend answers", PATIENCE, || {
            get_many(&node.network.client, to, 1)
        })?;
        node.never_withdrawn()
    });
}

const READY: &str = "ready: true";

/// The service with the first backend ready and the second in these conditions.
fn web(second: &str) -> String {
    let backends = [
        ("10.3.0.21", READY),
        ("10.3.0.22", second),
        ("fd00:3::21", READY),
        ("fd00:3::22", second),
    ];
    service("web", "") + &endpoints("web", &backends)
}

/// A transfer of two seconds that the second backend sends.
fn on_backend2(node: &Node, to: SocketAddr) -> Result<Transfer> {
    let pause = Duration::from_millis(50);
    for seed in 0..32 {
        let transfer = Transfer::start(&node.network.client, to, seed, 40, pause);
        let backend = until("the transfer has begun", PATIENCE, || {
            transfer
                .backend()
                .ok_or_else(|| anyhow::anyhow!("no backend yet"))
        })?;
        if backend == "backend2" {
            return Ok(transfer);
        }
    }
    bail!("32 transfers in a row were the first backend's")
}

fn state_of_backend2(node: &Node, wanted: Option<BackendState>) -> Result<()> {
    until(&format!("backend2 is {wanted:?}"), PATIENCE, || {
        let service = node.service("web")?;
        let second = service
            .backends
            .iter()
            .filter(|backend| backend.address.addr.to_string().ends_with("22"));
        let states: Vec<_> = second.map(|backend| backend.state).collect();
        let wanted: Vec<_> = wanted.into_iter().flat_map(|state| [state; 2]).collect();
        ensure!(states == wanted, "{states:?}");
        Ok(())
    })
}

/// Whether a connection is refused by the answer to its second SYN at the latest, a second after the
/// first: that one's comes before the client's kernel has let go of the socket, as no wire here takes
/// any time, and only counts where that is otherwise.
fn refused(node: &Node, to: SocketAddr) -> Result<()> {
    let started = Instant::now();
    let limit = Duration::from_millis(2500);
    let outcome = node
        .network
        .client
        .enter(|| TcpStream::connect_timeout(&to, limit));
    match outcome {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(()),
        other => bail!("{to}: {other:?} after {:?}", started.elapsed()),
    }
}

/// A node whose service has the first backend alone, which runs.
fn alone(lab: &Lab) -> Result<(Node, SocketAddr, Vec<RunningBackend>)> {
    let node = Node::start(lab, &[("10-base.yaml", base()), ("web.yaml", one(READY))])?;
    node.announced(&VIPS)?;
    let vips: Vec<IpAddr> = VIPS
        .iter()
        .map(|vip| vip.parse())
        .collect::<Result<_, _>>()?;
    let backends = node.network.serve(&vips)?;
    let to = SocketAddr::new(vips.first().copied().context("no VIP")?, 80);
    until("the backend answers", PATIENCE, || {
        get_many(&node.network.client, to, 1)
    })?;
    Ok((node, to, backends))
}

/// The service with the first backend alone.
fn one(conditions: &str) -> String {
    service("web", "") + &endpoints("web", &[("10.3.0.21", conditions)])
}

/// A second service: when it is there, what was written before it is too.
fn marker() -> String {
    service("marker", "")
}

/// A transfer of two seconds that has begun.
fn under_way(node: &Node, to: SocketAddr) -> Result<Transfer> {
    let pause = Duration::from_millis(50);
    let transfer = Transfer::start(&node.network.client, to, 7, 40, pause);
    until("the transfer has begun", PATIENCE, || {
        ensure!(transfer.received() > 0, "nothing yet");
        Ok(())
    })?;
    Ok(transfer)
}
