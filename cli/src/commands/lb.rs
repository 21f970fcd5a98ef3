//! `sluice lb`: what the kernel holds.

use std::fmt::Write as _;

use agent_api::{Lb, LbBackend, Maglev, Role};
use anyhow::Result;
use types::Vip;

use crate::args::{LbCommand, Output};
use crate::client::Client;
use crate::output::print;
use crate::table::{Table, age};

/// Characters that stand for backends in a drawn table.
const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// Slots in one line of a drawn table.
const LINE: usize = 64;

pub(super) fn run(client: &Client<'_>, output: Output, command: &LbCommand) -> Result<bool> {
    match command {
        LbCommand::List => {
            let lb: Lb = client.get("/v1/lb")?;
            print(output, &lb, render)?;
        }
        LbCommand::Maglev { vip } => {
            let maglev: Maglev = client.get(&format!("/v1/lb/maglev?vip={}", escape(*vip)))?;
            print(output, &maglev, draw)?;
        }
    }
    Ok(true)
}

/// Brackets and the slash are not allowed in a query's value here.
fn escape(vip: Vip) -> String {
    vip.to_string()
        .replace('[', "%5B")
        .replace(']', "%5D")
        .replace('/', "%2F")
}

fn render(lb: &Lb, wide: bool) -> String {
    let mut text = match lb.role {
        Role::Balancer | Role::Announcer => render_services(lb),
        // Its kernel has counters only.
        Role::Backend => String::new(),
    };
    for (verdict, count) in lb.verdicts.iter().filter(|(_, count)| wide || *count > 0) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{count:>12} {verdict}");
    }
    if text.is_empty() {
        text.push_str("Nothing has been counted.\n");
    }
    text
}

fn render_services(lb: &Lb) -> String {
    let mut table = Table::new([
        "VIP",
        "Slots",
        "In change",
        "Packets",
        "Backend",
        "State",
        "New",
        "Old",
        "Sent",
    ]);
    for service in &lb.services {
        for number in 0..service.backends.len().max(1) {
            let first = |text: String| if number == 0 { text } else { String::new() };
            let backend = service.backends.get(number);
            let cell = |value: fn(&LbBackend) -> String| backend.map(value).unwrap_or_default();
            table.row([
                first(service.vip.to_string()),
                first(service.slots.to_string()),
                first(service.slots_in_change.to_string()),
                first(service.counters.packets.to_string()),
                cell(|b| format!("{} => {}", b.id, b.address)),
                cell(|b| state(b).to_owned()),
                cell(|b| b.current.to_string()),
                cell(|b| b.previous.to_string()),
                cell(|b| b.counters.packets.to_string()),
            ]);
        }
    }
    let mut text = table.render("The kernel holds no services.");
    let change = &lb.transitions;
    let oldest = change
        .oldest_secs
        .map(|secs| format!(", the oldest for {}", age(secs)))
        .unwrap_or_default();
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "\n{} slots in change{oldest}; {} flows remembered; {} SYNs deferred",
        change.slots, change.flows, change.syns_deferred
    );
    text
}

fn state(backend: &LbBackend) -> &'static str {
    match (backend.live, backend.resolved) {
        (true, true) => "live",
        (true, false) => "no next hop",
        (false, _) => "gone",
    }
}

/// Shares as a table; wide output draws every slot as its backend's letter.
fn draw(maglev: &Maglev, wide: bool) -> String {
    let total: u32 = maglev.shares.iter().map(|share| share.slots).sum();
    let mut table = Table::new(["", "Backend", "Slots", "Share"]);
    for (number, share) in maglev.shares.iter().enumerate() {
        let percent = f64::from(share.slots) * 100.0 / f64::from(total.max(1));
        table.row([
            letter(number).to_string(),
            share.backend.to_string(),
            share.slots.to_string(),
            format!("{percent:.2}%"),
        ]);
    }
    let mut text = format!("{}: {} slots\n", maglev.vip, maglev.table.len());
    text.push_str(&table.render("No backends."));
    if wide {
        for line in maglev.table.chunks(LINE) {
            text.push('\n');
            text.extend(line.iter().map(|slot| match slot {
                Some(backend) => letter(*backend as usize),
                None => '.',
            }));
        }
        text.push('\n');
    }
    text
}

fn letter(backend: usize) -> char {
    LETTERS
        .get(backend % LETTERS.len())
        .map_or('?', |letter| char::from(*letter))
}

#[cfg(test)]
mod tests {
    use agent_api::Transitions;

    use super::*;

    #[test]
    fn a_backend_shows_what_it_counted_and_no_services() {
        let lb = Lb {
            role: Role::Backend,
            services: vec![],
            transitions: Transitions::default(),
            verdicts: vec![("not_owned".into(), 0), ("decapsulated".into(), 12)],
        };

        assert_eq!(render(&lb, false), "          12 decapsulated\n");
        assert_eq!(
            render(&lb, true),
            "           0 not_owned\n          12 decapsulated\n"
        );
    }
}
