//! The program's interface: taken by another program, gone, and back.

use anyhow::{Context as _, Result, ensure};
use integration::{Passing, lab, until};

use crate::node::{Node, PATIENCE, VIPS, base, web};

/// Another XDP program on the interface is named and left alone, and no VIP is announced; once it
/// is off, the agent attaches and announces by itself.
#[test]
fn another_program_on_the_interface_is_named_and_waited_out() {
    lab::run_programs(|lab| {
        let mut node = Node::start(lab, &[("10-base.yaml", base())])?;
        mode(&node, "native")?;
        node.agent.stop()?;
        let pins = std::path::Path::new("/sys/fs/bpf").join("edge");
        std::fs::remove_dir_all(&pins).context("taking our program off")?;
        std::fs::create_dir_all(&pins)?;
        let intruder = Passing::attach(&node.network.edge, "tor")?;
        node.network.manifests.put("web.yaml", web())?;
        node.agent.start()?;

        mode(&node, "refused")?;

        node.problem(Passing::NAME)?;
        node.established("tor")?;
        until("the VIPs are wanted", PATIENCE, || {
            let status = node.agent.status()?;
            ensure!(status.vips_wanted == 2, "{status:?}");
            ensure!(status.vips_ready == 0, "{status:?}");
            Ok(())
        })?;
        for vip in VIPS {
            ensure!(!node.has_route(vip)?, "{vip} is announced");
        }
        drop(intruder);
        mode(&node, "native")?;
        node.announced(&VIPS)?;
        node.answers(&VIPS)?;
        node.ready()
    });
}

/// An interface that vanishes is said to be absent; when it returns the program is attached to the
/// new one, and the routes return.
#[test]
fn an_interface_that_vanishes_and_returns_is_attached_again() {
    lab::run_programs(|lab| {
        let node = Node::with_web(lab)?;

        node.network.pull_wire()?;

        mode(&node, "absent")?;
        node.problem("interface tor does not exist")?;
        ensure!(
            node.agent.status()?.vips_ready == 0,
            "VIPs are ready without an interface"
        );
        node.withdrawn(&VIPS)?;
        node.network.plug_wire(lab)?;
        mode(&node, "native")?;
        node.announced(&VIPS)?;
        node.answers(&VIPS)?;
        node.ready()
    });
}

/// Waits until the status says this of the one interface.
fn mode(node: &Node, wanted: &str) -> Result<()> {
    until(&format!("the interface is {wanted}"), PATIENCE, || {
        let interfaces = node.agent.status()?.interfaces;
        let [interface] = interfaces.as_slice() else {
            anyhow::bail!("{interfaces:?}");
        };
        ensure!(interface.mode == wanted, "{interface:?}");
        Ok(())
    })
}
