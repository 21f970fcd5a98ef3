//! What a place says, in words that are the same for all places.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use integration::until;
use serde_json::Value;

use crate::site::{PATIENCE, Site};

/// What people write statuses about, in the order of a picture.
const KINDS: [&str; 4] = [
    "services",
    "ciliumloadbalancerippools",
    "ciliumbgpclusterconfigs",
    "ciliumbgppeerconfigs",
];

/// Every object of a story: a line with its addresses, and one for each of its conditions.
pub(crate) fn picture(site: &Site) -> Result<String> {
    let mut text = String::new();
    for kind in KINDS {
        for object in items(site, kind)? {
            text.push_str(&format!("{kind} {}{}\n", name(&object), addresses(&object)));
            for line in conditions(&object) {
                text.push_str(&format!("  {line}\n"));
            }
        }
    }
    Ok(text)
}

/// Waits until a place says this.
pub(crate) fn until_picture(site: &Site, what: &str, expected: &str) -> Result<()> {
    until(what, PATIENCE, || {
        let found = picture(site)?;
        ensure!(found == expected, "{found}\ninstead of\n{expected}");
        Ok(())
    })
}

/// The version of every object in a picture, to see whether anything was written.
pub(crate) fn versions(site: &Site) -> Result<BTreeMap<String, String>> {
    let mut versions = BTreeMap::new();
    for kind in KINDS {
        for object in items(site, kind)? {
            let version = object.pointer("/metadata/resourceVersion");
            let version = version.and_then(Value::as_str).unwrap_or_default();
            versions.insert(format!("{kind} {}", name(&object)), version.to_owned());
        }
    }
    Ok(versions)
}

fn items(site: &Site, kind: &str) -> Result<Vec<Value>> {
    let list = site.json(&format!("get {kind} -n batuu"))?;
    let items = list.get("items").and_then(Value::as_array);
    Ok(items.cloned().unwrap_or_default())
}

fn name(object: &Value) -> String {
    let name = object.pointer("/metadata/name").and_then(Value::as_str);
    name.unwrap_or_default().to_owned()
}

fn addresses(object: &Value) -> String {
    let ingress = object.pointer("/status/loadBalancer/ingress");
    let ingress = ingress.and_then(Value::as_array).into_iter().flatten();
    let addresses: Vec<&str> = ingress.filter_map(|at| at.get("ip")?.as_str()).collect();
    if addresses.is_empty() {
        String::new()
    } else {
        format!(" {}", addresses.join(","))
    }
}

/// Cilium's conditions; an API server and other programs have more.
fn conditions(object: &Value) -> Vec<String> {
    let conditions = object.pointer("/status/conditions");
    let conditions = conditions.and_then(Value::as_array).into_iter().flatten();
    let mut lines: Vec<String> = conditions
        .filter_map(|condition| {
            let text = |field: &str| condition.get(field).and_then(Value::as_str);
            let kind = text("type")?.strip_prefix("cilium.io/")?;
            let line = format!(
                "{kind} {} {} {}",
                text("status")?,
                text("reason")?,
                text("message").unwrap_or_default()
            );
            Some(line.trim_end().to_owned())
        })
        .collect();
    lines.sort();
    lines
}
