//! What a table has of each kind, as `kubectl get` prints it.

use std::time::Duration;

use api::{Kind, Timestamp, crd};
use serde_json::{Map, Value};

use super::age::age;

/// The columns of one kind.
pub(super) struct Columns {
    kind: Kind,
    with_namespace: bool,
    is_wide: bool,
    /// What the kind's definition adds: header, type and path.
    defined: Vec<(String, String, String)>,
}

impl Columns {
    pub(super) fn of(kind: Kind, with_namespace: bool, is_wide: bool) -> Self {
        Self {
            kind,
            with_namespace: with_namespace && kind.namespaced(),
            is_wide,
            defined: defined(kind),
        }
    }

    pub(super) fn header(&self) -> Vec<String> {
        let own: &[&str] = match (self.kind, self.is_wide) {
            (Kind::Service, false) => &["TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE"],
            (Kind::Service, true) => &[
                "TYPE",
                "CLUSTER-IP",
                "EXTERNAL-IP",
                "PORT(S)",
                "AGE",
                "SELECTOR",
            ],
            (Kind::EndpointSlice, _) => &["ADDRESSTYPE", "PORTS", "ENDPOINTS", "AGE"],
            (Kind::Node, false) => &["STATUS", "ROLES", "AGE", "VERSION"],
            (Kind::Node, true) => &["STATUS", "ROLES", "AGE", "VERSION", "INTERNAL-IP"],
            (Kind::Secret, _) => &["TYPE", "DATA", "AGE"],
            (
                Kind::CiliumLoadBalancerIPPool
                | Kind::CiliumBGPClusterConfig
                | Kind::CiliumBGPPeerConfig
                | Kind::CiliumBGPAdvertisement
                | Kind::CiliumBGPNodeConfig
                | Kind::CiliumBGPNodeConfigOverride,
                _,
            ) => &[],
        };
        let first = if self.with_namespace { "NAMESPACE" } else { "" };
        let defined = self.defined.iter().map(|(header, ..)| header.as_str());
        [first, "NAME"]
            .into_iter()
            .filter(|header| !header.is_empty())
            .chain(own.iter().copied())
            .chain(defined)
            .map(str::to_owned)
            .collect()
    }

    pub(super) fn row(&self, document: &Value, now: Timestamp) -> Vec<String> {
        let mut row = Vec::new();
        if self.with_namespace {
            row.push(
                text(document, "/metadata/namespace")
                    .unwrap_or("default")
                    .to_owned(),
            );
        }
        row.push(
            text(document, "/metadata/name")
                .unwrap_or_default()
                .to_owned(),
        );
        let age = created(document, now);
        match self.kind {
            Kind::Service => row.extend(service(document, age, self.is_wide)),
            Kind::EndpointSlice => row.extend(slice(document, age)),
            Kind::Node => row.extend(node(document, age, self.is_wide)),
            Kind::Secret => row.extend(secret(document, age)),
            Kind::CiliumLoadBalancerIPPool
            | Kind::CiliumBGPClusterConfig
            | Kind::CiliumBGPPeerConfig
            | Kind::CiliumBGPAdvertisement
            | Kind::CiliumBGPNodeConfig
            | Kind::CiliumBGPNodeConfigOverride => {
                let cells = self.defined.iter();
                row.extend(cells.map(|(_, kind, path)| cell(document, kind, path, now)));
            }
        }
        row
    }
}

/// The columns that the kind's definition has.
fn defined(kind: Kind) -> Vec<(String, String, String)> {
    let all = crd::all();
    let mut own = all.iter().filter(|definition| {
        let name = definition.pointer("/spec/names/kind");
        name.and_then(Value::as_str) == Some(kind.as_str())
    });
    let columns = own.next().and_then(|definition| {
        definition
            .pointer("/spec/versions/0/additionalPrinterColumns")?
            .as_array()
    });
    let columns = columns.into_iter().flatten().filter_map(|column| {
        let text = |field: &str| column.get(field)?.as_str().map(str::to_owned);
        Some((
            text("name")?.to_uppercase(),
            text("type")?,
            text("jsonPath")?,
        ))
    });
    columns.collect()
}

fn cell(document: &Value, kind: &str, path: &str, now: Timestamp) -> String {
    let value = find(document, path);
    match (kind, value) {
        ("date", Some(Value::String(time))) => since(time, now),
        // What an API server fills in where it is not said.
        ("boolean", None) => "false".to_owned(),
        (_, Some(Value::String(text))) => text.clone(),
        (_, Some(Value::Null) | None) => String::new(),
        (_, Some(value)) => value.to_string(),
    }
}

/// A path such as `.status.conditions[?(@.type=="Ready")].status`.
fn find<'d>(document: &'d Value, path: &str) -> Option<&'d Value> {
    let mut value = document;
    let mut rest = path;
    while let Some(step) = rest.strip_prefix('.') {
        let end = step.find(['.', '[']).unwrap_or(step.len());
        let (name, after) = step.split_at(end);
        value = value.get(name)?;
        rest = after;
        if let Some(filter) = rest.strip_prefix("[?(@.") {
            let (condition, after) = filter.split_once(")]")?;
            let (field, wanted) = condition.split_once("==")?;
            let wanted = wanted.trim_matches(['"', '\'']);
            let mut items = value.as_array()?.iter();
            value = items.find(|item| item.get(field).is_some_and(|is| is == wanted))?;
            rest = after;
        }
    }
    rest.is_empty().then_some(value)
}

fn service(document: &Value, age: String, is_wide: bool) -> Vec<String> {
    let kind = text(document, "/spec/type").unwrap_or("ClusterIP");
    let cluster_ip = text(document, "/spec/clusterIP").filter(|ip| !ip.is_empty());
    let mut row = vec![
        kind.to_owned(),
        cluster_ip.unwrap_or("<none>").to_owned(),
        external(document, kind),
        or_none(joined(document, "/spec/ports", port)),
        age,
    ];
    if is_wide {
        let selector = document
            .pointer("/spec/selector")
            .and_then(Value::as_object);
        let selector = selector.into_iter().flatten();
        let selector =
            selector.filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)));
        row.push(or_none(selector.collect::<Vec<_>>().join(",")));
    }
    row
}

fn external(document: &Value, kind: &str) -> String {
    let given = items(document, "/status/loadBalancer/ingress");
    let given = given.filter_map(|ingress| {
        let of = |field: &str| ingress.get(field).and_then(Value::as_str);
        of("ip").or_else(|| of("hostname"))
    });
    let mut given: Vec<&str> = given.filter(|_| kind == "LoadBalancer").collect();
    given.sort_unstable();
    let stated = items(document, "/spec/externalIPs").filter_map(Value::as_str);
    let all = given
        .into_iter()
        .chain(stated)
        .collect::<Vec<_>>()
        .join(",");
    match kind {
        _ if !all.is_empty() => all,
        "LoadBalancer" => "<pending>".to_owned(),
        "ExternalName" => text(document, "/spec/externalName")
            .unwrap_or_default()
            .to_owned(),
        _ => "<none>".to_owned(),
    }
}

fn port(port: &Value) -> Option<String> {
    let number = port.get("port")?;
    let protocol = port
        .get("protocol")
        .and_then(Value::as_str)
        .unwrap_or("TCP");
    Some(match port.get("nodePort").and_then(Value::as_u64) {
        Some(node) if node > 0 => format!("{number}:{node}/{protocol}"),
        Some(_) | None => format!("{number}/{protocol}"),
    })
}

fn slice(document: &Value, age: String) -> Vec<String> {
    const SHOWN: usize = 3;
    let ports = joined(document, "/ports", |port| {
        Some(port.get("port")?.to_string())
    });
    let addresses =
        items(document, "/endpoints").flat_map(|endpoint| items(endpoint, "/addresses"));
    let addresses: Vec<&str> = addresses.filter_map(Value::as_str).collect();
    let shown: Vec<&str> = addresses.iter().take(SHOWN).copied().collect();
    let endpoints = match addresses.len() {
        0 => "<unset>".to_owned(),
        count @ 0..=SHOWN => shown.get(..count).unwrap_or_default().join(","),
        count => format!("{} + {} more...", shown.join(","), count - SHOWN),
    };
    vec![
        text(document, "/addressType")
            .unwrap_or_default()
            .to_owned(),
        if ports.is_empty() {
            "<unset>".to_owned()
        } else {
            ports
        },
        endpoints,
        age,
    ]
}

fn node(document: &Value, age: String, is_wide: bool) -> Vec<String> {
    const ROLE: &str = "node-role.kubernetes.io/";
    let ready = find(document, r#".status.conditions[?(@.type=="Ready")].status"#);
    let mut status = match ready.and_then(Value::as_str) {
        Some("True") => "Ready".to_owned(),
        Some(_) => "NotReady".to_owned(),
        None => "Unknown".to_owned(),
    };
    if document.pointer("/spec/unschedulable") == Some(&Value::Bool(true)) {
        status.push_str(",SchedulingDisabled");
    }
    let labels = document
        .pointer("/metadata/labels")
        .and_then(Value::as_object);
    let labels = labels.into_iter().flat_map(|labels| labels.keys());
    let roles = labels.filter_map(|label| label.strip_prefix(ROLE));
    let version = text(document, "/status/nodeInfo/kubeletVersion");
    let mut row = vec![
        status,
        or_none(roles.collect::<Vec<_>>().join(",")),
        age,
        version.unwrap_or_default().to_owned(),
    ];
    if is_wide {
        let internal = find(
            document,
            r#".status.addresses[?(@.type=="InternalIP")].address"#,
        );
        row.push(
            internal
                .and_then(Value::as_str)
                .unwrap_or("<none>")
                .to_owned(),
        );
    }
    row
}

fn secret(document: &Value, age: String) -> Vec<String> {
    let count = |field: &str| {
        document
            .get(field)
            .and_then(Value::as_object)
            .map_or(0, Map::len)
    };
    vec![
        text(document, "/type").unwrap_or("Opaque").to_owned(),
        (count("data") + count("stringData")).to_string(),
        age,
    ]
}

fn created(document: &Value, now: Timestamp) -> String {
    text(document, "/metadata/creationTimestamp").map_or_else(String::new, |time| since(time, now))
}

fn since(time: &str, now: Timestamp) -> String {
    let Ok(time) = time.parse::<Timestamp>() else {
        return "<unknown>".to_owned();
    };
    age(Duration::try_from(now.duration_since(time)).unwrap_or_default())
}

fn text<'d>(document: &'d Value, pointer: &str) -> Option<&'d str> {
    document.pointer(pointer)?.as_str()
}

fn items<'d>(document: &'d Value, pointer: &str) -> impl Iterator<Item = &'d Value> {
    let items = document.pointer(pointer).and_then(Value::as_array);
    items.into_iter().flatten()
}

fn joined(document: &Value, pointer: &str, cell: impl Fn(&Value) -> Option<String>) -> String {
    items(document, pointer)
        .filter_map(cell)
        .collect::<Vec<_>>()
        .join(",")
}

fn or_none(text: String) -> String {
    if text.is_empty() {
        "<none>".to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests;
