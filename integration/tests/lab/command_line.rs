//! What scripts rely on: exit statuses, and answers that are one document.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use integration::lab;
use serde_json::Value;

use crate::node::{Node, VIPS, base, web};

/// Exit status 0 is yes or done, 1 no or refused, 2 wrong usage, and 3 an agent that cannot be
/// reached.
#[test]
fn exit_statuses_tell_yes_from_no_from_wrong_from_unreachable() {
    lab::run_programs(|lab| {
        let mut node = Node::with_web(lab)?;
        node.ready()?;
        let status = |node: &Node, args: &str, wanted: i32| -> Result<()> {
            let output = node.agent.ask(args)?;
            ensure!(output.status.code() == Some(wanted), "{args}: {output:?}");
            // A failure says why on standard error, in one line; success is silent there.
            let lines = String::from_utf8_lossy(&output.stderr).lines().count();
            ensure!(
                wanted == 0 || wanted == 2 || lines <= 1,
                "{args}: {output:?}"
            );
            ensure!(wanted != 0 || lines == 0, "{args}: {output:?}");
            Ok(())
        };

        for args in [
            "status",
            "service list",
            "lb list",
            "lb maglev 192.0.2.0:80/TCP",
            "lb maglev [2001:db8:0:1::]:80/TCP",
            "bgp peers",
            "bgp routes",
            "bgp routes advertised ipv6",
            "lb-ipam export",
            "service drain 10.3.0.21:80",
            "service undrain 10.3.0.21:80",
            "--help",
            "--version",
        ] {
            status(&node, args, 0)?;
        }
        status(&node, "service drain 10.9.9.9:80", 1)?;
        status(&node, "lb maglev 203.0.113.1:80/TCP", 1)?;
        status(&node, "manifest check /nowhere", 1)?;
        for args in [
            "service drain 10.3.0.21",
            "stats",
            "status -o xml",
            "lb maglev x",
        ] {
            status(&node, args, 2)?;
        }
        node.network.edge.ip("link set tor down")?;
        node.network.edge.ip("link set tor name gone")?;
        node.problem("interface tor does not exist")?;
        status(&node, "status", 1)?;
        node.agent.stop()?;
        status(&node, "status", 3)?;
        status(&node, "service drain 10.3.0.21:80", 3)
    });
}

/// `-o json` and `-o yaml` print one document each, and the same one.
#[test]
fn json_and_yaml_are_one_and_the_same_document() {
    lab::run_programs(|lab| {
        let node = Node::with_web(lab)?;
        node.ready()?;

        for what in [
            "service list",
            "lb maglev 192.0.2.0:80/TCP",
            "lb-ipam export",
            "service undrain 10.3.0.21:80",
            "status",
            "lb list",
            "bgp peers",
            "bgp routes advertised",
        ] {
            let json = node.agent.json(what)?;
            let text = node.agent.sluice(&format!("{what} -o yaml"))?;
            let documents = store::yaml::parse(text.as_bytes()).context(text)?;
            ensure!(
                documents.len() == 1,
                "{what}: {} documents",
                documents.len()
            );
            let yaml = documents[0].value();
            let [json, yaml] = [json, yaml].map(without_clocks);
            ensure!(json == yaml, "{what}:\n{json}\n{yaml}");
        }
        let routes = node.agent.json("bgp routes advertised")?;
        let routes = routes.as_array().context("no list")?;
        ensure!(routes.len() == VIPS.len(), "{routes:?}");
        Ok(())
    });
}

/// `sluice manifest check` exits with 0 and prints nothing where all is well, and with 1 and a line
/// FILE:LINE: KIND/NAME: FIELD: reason for each fault where not; it needs no agent.
#[test]
fn a_check_of_manifests_prints_a_line_a_fault() {
    lab::run_programs(|lab| {
        let mut node = Node::with_web(lab)?;
        node.agent.stop()?;
        let check = format!(
            "manifest check {}",
            node.network.manifests.folder().display()
        );

        let good = node.agent.ask(&check)?;
        let bad = web()
            .replace("port: 80", "port: 80000")
            .replace("10.3.0.21", "10.3.0.321");
        node.network.manifests.put("web.yaml", bad)?;
        node.network.manifests.put("zz.yaml", "{[")?;
        let bad = node.agent.ask(&check)?;
        let listed = node.agent.ask(&format!("{check} -o json"))?;

        ensure!(
            good.status.code() == Some(0) && good.stdout.is_empty(),
            "{good:?}"
        );
        let text = String::from_utf8(bad.stdout)?;
        ensure!(bad.status.code() == Some(1), "{text}");
        for start in [
            "web.yaml:14: Service/shop/web: spec.ports[0].port: ",
            "web.yaml:23: EndpointSlice/shop/web-ipv4: ports[0].port: ",
            "web.yaml:25: EndpointSlice/shop/web-ipv4: endpoints[0].addresses[0]: ",
            "zz.yaml:1: ",
        ] {
            let mut lines = text.lines();
            ensure!(
                lines.any(|line| line.starts_with(start)),
                "no {start:?}:\n{text}"
            );
        }
        let documents: Vec<Value> = serde_json::from_slice(&listed.stdout)?;
        ensure!(documents.len() == text.lines().count(), "{documents:?}");
        ensure!(listed.status.code() == Some(1), "{}", listed.status);
        Ok(())
    });
}

/// The agent's configuration is checked before anything starts: what is wrong is named with its
/// file, and `--check` says so without starting.
#[test]
fn a_wrong_configuration_is_named_before_anything_starts() {
    lab::run_programs(|lab| {
        let node = Node::start(lab, &[("10-base.yaml", base())])?;
        node.ready()?;
        let unknown = |text: String| text.replace("manifests =", "manifest =");
        let missing = |text: String| text.replace("interfaces = [\"tor\"]", "interfaces = []");

        for args in [&[][..], &["--check"]] {
            let output = node.agent.run_other(unknown, args)?;
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            ensure!(output.status.code() == Some(1), "{said}");
            ensure!(
                said.contains("other.toml") && said.contains("`manifest`"),
                "{said}"
            );
            let output = node.agent.run_other(missing, args)?;
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            ensure!(said.contains("balancer.interfaces is empty"), "{said}");
        }
        let output = node.agent.run_other(|text| text, &["--check"])?;
        ensure!(output.status.success(), "{output:?}");
        let file = node.agent.host().folder().join("agent.toml");
        ensure!(fs::exists(file)?, "the configuration is gone");
        node.ready()
    });
}

/// A document without what moves between two looks at it.
fn without_clocks(document: Value) -> Value {
    match document {
        Value::Object(fields) => {
            let moving = ["uptimeSecs", "ageSecs", "counters", "verdicts", "stores"];
            let fields = fields.into_iter();
            let still = fields.filter(|(name, _)| !moving.contains(&&**name));
            still
                .map(|(name, value)| (name, without_clocks(value)))
                .collect()
        }
        Value::Array(items) => items.into_iter().map(without_clocks).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => document,
    }
}
