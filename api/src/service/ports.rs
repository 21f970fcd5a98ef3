//! The ports of a Service.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;

use super::{ServicePort, TargetPort};
use crate::fault::{At, Faults};
use crate::{Unenforced, read};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RawServicePort {
    name: Option<String>,
    protocol: Option<String>,
    port: Option<i64>,
    target_port: Option<Value>,
    node_port: Option<i64>,
    #[expect(dead_code, reason = "what is spoken on a port does not matter here")]
    app_protocol: Option<String>,
}

/// The ports that are balanced. `needed` is whether there must be one at all.
pub(crate) fn check(
    raw: Option<Vec<RawServicePort>>,
    needed: bool,
    at: &At<'_>,
    faults: &mut Faults,
    unenforced: &mut Vec<Unenforced>,
) -> Vec<ServicePort> {
    let raw = raw.unwrap_or_default();
    if needed && raw.is_empty() {
        faults.add(at, "must have at least one item");
    }
    let names = raw.iter().map(|port| port.name.as_deref());
    read::unique(names, "name", at, faults);
    let mut seen = BTreeSet::new();
    for (index, port) in raw.iter().enumerate() {
        let at = at.index(index);
        if raw.len() > 1 && port.name.as_deref().is_none_or(str::is_empty) {
            let reason = "is required where there are several ports";
            faults.add(&at.field("name"), reason);
        }
        let protocol = port.protocol.as_deref().unwrap_or("TCP");
        if let Some(number) = port.port
            && !seen.insert((number, protocol))
        {
            faults.add(&at, format_args!("{number}/{protocol} is there twice"));
        }
    }
    read::each(Some(raw), at, faults, |raw, at, faults| {
        raw.check(at, faults, unenforced)
    })
}

impl RawServicePort {
    fn check(
        self,
        at: &At<'_>,
        faults: &mut Faults,
        unenforced: &mut Vec<Unenforced>,
    ) -> Option<ServicePort> {
        let port_at = at.field("port");
        let port = read::required(self.port, &port_at, faults);
        let port = read::optional(port, 1..=65535, &port_at, faults);
        let target_port = self
            .target_port
            .and_then(|value| target_port(&value, &at.field("targetPort"), faults));
        let node_port: Option<u16> =
            read::optional(self.node_port, 0..=65535, &at.field("nodePort"), faults);
        if node_port.is_some_and(|port| port != 0) {
            let note = "the port is not opened";
            unenforced.push(Unenforced::new(&at.field("nodePort"), note));
        }
        let protocol = self.protocol.as_deref();
        let protocol = read::protocol(protocol, &at.field("protocol"), faults, unenforced);
        Some(ServicePort {
            name: self.name.unwrap_or_default(),
            protocol: protocol?,
            port: port?,
            target_port,
        })
    }
}

fn target_port(value: &Value, at: &At<'_>, faults: &mut Faults) -> Option<TargetPort> {
    match value {
        Value::Null => None,
        Value::Number(number) => {
            let port = read::optional(
                Some(number.as_i64().unwrap_or(i64::MAX)),
                1..=65535,
                at,
                faults,
            );
            port.map(TargetPort::Number)
        }
        Value::String(name) if !name.is_empty() => Some(TargetPort::Name(name.clone())),
        Value::String(_) | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            faults.add(at, "is neither a number nor a port's name");
            None
        }
    }
}
