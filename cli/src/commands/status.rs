//! `sluice status`.

use std::fmt::Write as _;

use agent_api::{Role, Status};
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
    let role = match status.role {
        Role::Balancer => "balancer",
        Role::Backend => "backend",
    };
    let mut text = String::new();
    let mut line = |label: &str, value: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{label:<14}{value}");
    };
    line("Node", &format!("{} ({role})", status.node));
    line(
        "Agent",
        &format!("{}, up {}", status.version, age(status.uptime_secs)),
    );
    line("Ready", if status.ready { "yes" } else { "no" });
    for (number, problem) in status.problems.iter().enumerate() {
        line(if number == 0 { "Problems" } else { "" }, problem);
    }
    for (number, remark) in status.remarks.iter().enumerate() {
        line(if number == 0 { "Remarks" } else { "" }, remark);
    }
    line(
        "VIPs",
        &format!("{} of {} in place", status.vips_ready, status.vips_wanted),
    );
    let bgp = status.bgp;
    line(
        "BGP",
        &format!(
            "{} of {} sessions established, {} prefixes",
            bgp.established, bgp.peers, bgp.prefixes
        ),
    );
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
