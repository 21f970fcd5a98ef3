//! `sluice status`.

use std::fmt::Write as _;

use agent_api::{Bgp, Role, Source, SourceKind, Status};
use anyhow::Result;

use crate::args::Output;
use crate::client::Client;
use crate::output::print;
use crate::table::{Table, age};

pub(super) fn run(client: &Client<'_>, output: Output) -> Result<bool> {
    let status: Status = client.get("/v1/status")?;
    print(output, &status, render)?;
    Ok(status.ready)
}

fn render(status: &Status, wide: bool) -> String {
    let mut text = String::new();
    let mut line = |label: &str, value: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{label:<14}{value}");
    };
    line("Node", &format!("{} ({})", status.node, status.role));
    line(
        "Agent",
        &format!("{}, up {}", status.version, age(status.uptime_secs)),
    );
    line("Ready", if status.ready { "yes" } else { "no" });
    // A directory is where a standalone node's objects always come from.
    let is_told = |source: &&Source| wide || source.kind != SourceKind::Directory;
    if let Some(source) = status.source.as_ref().filter(is_told) {
        let kind = source.kind.as_str();
        line("Objects from", &format!("{kind} {}", source.place));
        for fault in &source.faults {
            line("", fault);
        }
    }
    if let Some(operator) = &status.operator {
        let holder = operator.holder.as_deref().unwrap_or("nobody known");
        line("Operator", &format!("{holder} leads ({})", operator.lease));
    }
    for (number, problem) in status.problems.iter().enumerate() {
        line(if number == 0 { "Problems" } else { "" }, problem);
    }
    for (number, remark) in status.remarks.iter().enumerate() {
        line(if number == 0 { "Remarks" } else { "" }, remark);
    }
    match status.role {
        role @ (Role::Balancer | Role::Announcer) => {
            let (ready, wanted) = (status.vips_ready, status.vips_wanted);
            let how = if role == Role::Balancer {
                "in place"
            } else {
                "announced"
            };
            line("VIPs", &format!("{ready} of {wanted} {how}"));
            line("BGP", &sessions(&status.bgp));
        }
        // It balances and announces nothing.
        Role::Backend => {}
    }
    for (number, interface) in status.interfaces.iter().enumerate() {
        let reason = interface
            .reason
            .as_ref()
            .map(|why| format!(" ({why})"))
            .unwrap_or_default();
        line(
            if number == 0 { "Interfaces" } else { "" },
            &format!("{} {}{reason}", interface.name, interface.mode),
        );
    }
    let drained: Vec<String> = status.drained.iter().map(ToString::to_string).collect();
    if !drained.is_empty() {
        line("Drained", &drained.join(", "));
    }
    if wide {
        line(
            "Stores",
            &format!("{} into kernel tables since the start", status.stores),
        );
        for (number, kind) in status.objects.iter().enumerate() {
            line(
                if number == 0 { "Objects" } else { "" },
                &format!("{} {}", kind.count, kind.kind),
            );
        }
    }
    if !status.refused.is_empty() {
        text.push_str("\nRefused (what ran before keeps running):\n");
        let mut table = Table::new(["Where", "Object", "Reason"]);
        for refused in &status.refused {
            let place = refused.place.clone().unwrap_or_default();
            table.row([place, refused.object.clone(), refused.reason.clone()]);
        }
        text.push_str(&table.render(""));
    }
    text
}

fn sessions(bgp: &Bgp) -> String {
    format!(
        "{} of {} sessions established, {} prefixes",
        bgp.established, bgp.peers, bgp.prefixes
    )
}

#[cfg(test)]
mod tests {
    use agent_api::{Ipam, Operator};

    use super::*;

    #[test]
    fn a_balancer_shows_its_vips_and_remarks() {
        let text = render(&status(Role::Balancer), false);

        assert_eq!(
            text,
            "Node          edge1 (balancer)\n\
             Agent         0.1.0, up 41s\n\
             Ready         no\n\
             Problems      interface tor2 does not exist\n\
             Remarks       CiliumBGPAdvertisement/a: accepted, but not acted upon: x\n\
             \u{20}             CiliumBGPAdvertisement/b: accepted, but not acted upon: y\n\
             VIPs          2 of 3 in place\n\
             BGP           0 of 0 sessions established, 0 prefixes\n"
        );
    }

    #[test]
    fn a_node_in_kubernetes_shows_where_its_objects_come_from_and_what_it_announces() {
        let status = Status {
            source: Some(Source {
                kind: SourceKind::Kubernetes,
                place: "https://10.0.0.1:6443".into(),
                faults: vec!["the API server does not answer: timed out".into()],
            }),
            operator: Some(Operator {
                lease: "kube-system/sluicegate-operator".into(),
                holder: Some("op-1".into()),
            }),
            problems: vec![],
            remarks: vec![],
            ..status(Role::Announcer)
        };

        assert_eq!(
            render(&status, false),
            "Node          edge1 (announcer)\n\
             Agent         0.1.0, up 41s\n\
             Ready         no\n\
             Objects from  kubernetes https://10.0.0.1:6443\n\
             \u{20}             the API server does not answer: timed out\n\
             Operator      op-1 leads (kube-system/sluicegate-operator)\n\
             VIPs          2 of 3 announced\n\
             BGP           0 of 0 sessions established, 0 prefixes\n"
        );
    }

    #[test]
    fn a_backend_has_neither_vips_in_place_nor_sessions() {
        let text = render(&status(Role::Backend), false);

        assert!(!text.contains("VIPs") && !text.contains("BGP  "), "{text}");
    }

    fn status(role: Role) -> Status {
        let remark = |name, field| {
            format!("CiliumBGPAdvertisement/{name}: accepted, but not acted upon: {field}")
        };
        Status {
            node: "edge1".parse().unwrap(),
            version: "0.1.0".into(),
            role,
            uptime_secs: 41,
            ready: false,
            problems: vec!["interface tor2 does not exist".into()],
            remarks: vec![remark("a", "x"), remark("b", "y")],
            source: None,
            operator: None,
            objects: vec![],
            refused: vec![],
            interfaces: vec![],
            bgp: Bgp::default(),
            ipam: Ipam::default(),
            alarms: vec![],
            vips_ready: 2,
            vips_wanted: 3,
            stores: 0,
            drained: vec![],
            withdrawn: false,
        }
    }
}
