//! `sluice status`.

use std::fmt::Write as _;

use agent_api::{Bgp, Interface, Role, Source, SourceKind, Status};
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

/// Lines of a label and a value.
#[derive(Default)]
struct Lines(String);

impl Lines {
    fn line(&mut self, label: &str, value: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "{label:<14}{value}");
    }

    /// The label stands before the first of them.
    fn list<T: AsRef<str>>(&mut self, label: &str, values: impl IntoIterator<Item = T>) {
        for (number, value) in values.into_iter().enumerate() {
            self.line(if number == 0 { label } else { "" }, value.as_ref());
        }
    }
}

fn render(status: &Status, wide: bool) -> String {
    let mut lines = Lines::default();
    let Status { node, role, .. } = status;
    lines.line("Node", &format!("{node} ({role})"));
    let up = age(status.uptime_secs);
    lines.line("Agent", &format!("{}, up {up}", status.version));
    lines.line("Ready", if status.ready { "yes" } else { "no" });
    origin(&mut lines, status, wide);
    lines.list("Problems", &status.problems);
    lines.list("Remarks", &status.remarks);
    let (ready, wanted) = (status.vips_ready, status.vips_wanted);
    let how = match role {
        Role::Balancer => Some("in place"),
        Role::Announcer => Some("announced"),
        // It balances and announces nothing.
        Role::Backend => None,
    };
    if let Some(how) = how {
        lines.line("VIPs", &format!("{ready} of {wanted} {how}"));
        lines.line("BGP", &sessions(&status.bgp));
    }
    lines.list("Interfaces", status.interfaces.iter().map(interface));
    let drained: Vec<String> = status.drained.iter().map(ToString::to_string).collect();
    if !drained.is_empty() {
        lines.line("Drained", &drained.join(", "));
    }
    if wide {
        let stores = format!("{} into kernel tables since the start", status.stores);
        lines.line("Stores", &stores);
        let objects = status.objects.iter();
        lines.list(
            "Objects",
            objects.map(|of| format!("{} {}", of.count, of.kind)),
        );
    }
    lines.0 + &refused(status)
}

/// Where objects come from, and who decides about them.
fn origin(lines: &mut Lines, status: &Status, wide: bool) {
    // A directory is where a standalone node's objects always come from.
    let is_told = |source: &&Source| wide || source.kind != SourceKind::Directory;
    if let Some(source) = status.source.as_ref().filter(is_told) {
        let kind = source.kind.as_str();
        lines.line("Objects from", &format!("{kind} {}", source.place));
        lines.list("", &source.faults);
    }
    if let Some(operator) = &status.operator {
        let holder = operator.holder.as_deref().unwrap_or("nobody known");
        lines.line("Operator", &format!("{holder} leads ({})", operator.lease));
    }
}

fn interface(interface: &Interface) -> String {
    let reason = interface.reason.as_ref();
    let reason = reason.map(|why| format!(" ({why})")).unwrap_or_default();
    format!("{} {}{reason}", interface.name, interface.mode)
}

fn refused(status: &Status) -> String {
    if status.refused.is_empty() {
        return String::new();
    }
    let mut table = Table::new(["Where", "Object", "Reason"]);
    for refused in &status.refused {
        let place = refused.place.clone().unwrap_or_default();
        table.row([place, refused.object.clone(), refused.reason.clone()]);
    }
    format!(
        "\nRefused (what ran before keeps running):\n{}",
        table.render("")
    )
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
