//! A plan as a person reads it: `+` is new, `~` is different, `-` goes, `!` needs attention.

use std::fmt::Write as _;

use desired::plan::{
    AddressChange, AddressFate, CutKind, Plan, PoolChange, PoolState, Route, RouteChange,
    ServiceChange, SessionChange, SessionFate, Step,
};
use types::NodeName;

pub(super) fn render(plan: &Plan) -> String {
    let mut text = String::new();
    let refused = plan.refused.iter().map(|refused| {
        let object = refused.object.as_deref().unwrap_or_default();
        format!("! {}: {object}: {}", refused.place, refused.reason)
    });
    section(&mut text, "Refused (stays as it is)", refused);
    section(&mut text, "Addresses", plan.addresses.iter().map(address));
    section(&mut text, "Pools", plan.pools.iter().map(pool));
    section(&mut text, "Sessions", plan.sessions.iter().map(session));
    section(&mut text, "Routes", plan.routes.iter().map(route));
    section(
        &mut text,
        "Balanced services",
        plan.services.iter().map(service),
    );
    let left_out = plan.left_out.iter().map(|words| format!("! {words}"));
    section(&mut text, "Not run", left_out);
    if plan.changes_nothing() {
        text.push_str("Nothing changes.\n");
    }
    let cuts = plan.cuts.iter().map(|cut| {
        let kind = match cut.kind {
            CutKind::Address => "address",
            CutKind::Vip => "VIP",
            CutKind::Route => "route",
            CutKind::Session => "session",
        };
        format!("! {kind} {}: {}", cut.what, cut.why)
    });
    section(&mut text, "TRAFFIC WOULD BE CUT", cuts);
    if !plan.cuts_traffic() {
        text.push_str("No traffic is cut.\n");
    }
    text
}

fn section(text: &mut String, title: &str, lines: impl Iterator<Item = String>) {
    let mut lines = lines.peekable();
    if lines.peek().is_none() {
        return;
    }
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{title}:");
    for line in lines {
        let _ = writeln!(text, "  {line}");
    }
}

fn address(change: &AddressChange) -> String {
    let service = &change.service;
    let (was, becomes) = (list(&change.was), list(&change.becomes));
    let mut line = match change.fate {
        AddressFate::Given if change.was.is_empty() => format!("+ {service} {becomes}"),
        AddressFate::Given => format!("+ {service} {was} -> {becomes}"),
        AddressFate::Moved => format!("~ {service} {was} -> {becomes}"),
        AddressFate::Lost if change.becomes.is_empty() => format!("- {service} {was}"),
        AddressFate::Lost => format!("- {service} {was} -> {becomes}"),
        AddressFate::Refused => format!("! {service}"),
    };
    if let Some(seconds) = change.after_secs {
        let _ = write!(line, " (after {seconds} s)");
    }
    if let (Some(reason), Some(message)) = (change.reason, &change.message) {
        let _ = write!(line, ": {reason}: {message}");
    }
    line
}

fn pool(change: &PoolChange) -> String {
    let name = &change.pool;
    let counts = |state: &PoolState| {
        let conflict = state.conflict.as_ref();
        let conflict = conflict.map(|why| format!(": {why}")).unwrap_or_default();
        format!("{} of {} available{conflict}", state.available, state.total)
    };
    match (&change.was, &change.becomes) {
        (Some(was), Some(becomes)) => format!("~ {name}: {} -> {}", counts(was), counts(becomes)),
        (None, Some(becomes)) => format!("+ {name}: {}", counts(becomes)),
        (Some(was), None) => format!("- {name}: {}", counts(was)),
        (None, None) => name.clone(),
    }
}

fn session(change: &SessionChange) -> String {
    let SessionChange {
        instance,
        peer,
        address,
        ..
    } = change;
    let what = format!("{instance}/{peer} {address}");
    let why = change.why.join(", ");
    let line = match change.fate {
        SessionFate::Opened => format!("+ {what}"),
        SessionFate::Closed => format!("- {what}"),
        SessionFate::Reset => format!("~ {what} is reset: {why}"),
        SessionFate::Updated => format!("~ {what} stays up: {why}"),
    };
    on(line, &change.nodes)
}

fn route(change: &RouteChange) -> String {
    let to = format!("{} to {}/{}", change.prefix, change.instance, change.peer);
    let line = match (&change.was, &change.becomes) {
        (None, Some(becomes)) => format!("+ {to}: {}", carried(becomes)),
        (Some(was), Some(becomes)) => format!("~ {to}: {} -> {}", carried(was), carried(becomes)),
        (Some(_), None) => format!("- {to}"),
        (None, None) => to,
    };
    on(line, &change.nodes)
}

fn carried(route: &Route) -> String {
    let mut text = format!("next hop {}", route.next_hop);
    if let Some(preference) = route.local_preference {
        let _ = write!(text, ", local preference {preference}");
    }
    let communities = route.communities.iter().chain(&route.large_communities);
    let communities: Vec<&str> = communities.map(String::as_str).collect();
    if !communities.is_empty() {
        let _ = write!(text, ", communities {}", communities.join(" "));
    }
    text
}

fn service(change: &ServiceChange) -> String {
    let sign = match change.step {
        Step::Added => '+',
        Step::Changed => '~',
        Step::Removed => '-',
    };
    let mut line = format!("{sign} {}:", change.service);
    let parts = [
        ('+', &change.frontends_added),
        ('-', &change.frontends_removed),
        ('+', &change.backends_added),
        ('-', &change.backends_removed),
    ];
    let mut any = false;
    for (sign, words) in parts {
        for word in words {
            any = true;
            let _ = write!(line, " {sign}{word}");
        }
    }
    if !any {
        line.push_str(" other settings");
    }
    on(line, &change.nodes)
}

fn on(line: String, nodes: &[NodeName]) -> String {
    match nodes {
        [] => line,
        nodes => format!("{line} (on {})", list(nodes)),
    }
}

fn list<T: ToString>(names: &[T]) -> String {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    names.join(", ")
}
