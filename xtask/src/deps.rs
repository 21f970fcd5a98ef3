//! Checks that dependencies point downwards only.
//!
//! `cargo tree -p` per crate, because `cargo metadata` unifies features over the workspace.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::layers::{External, LAYERS, Layer, ONLY_FROM};

/// A crate of this workspace.
struct Member {
    name: String,
    layer: &'static Layer,
    /// Direct normal dependencies that are in this workspace.
    below: BTreeSet<String>,
}

/// Checks every crate.
///
/// # Errors
/// If one reaches what its layer does not allow; each such edge is printed.
pub(crate) fn check() -> Result<()> {
    let members = members()?;
    let mut faults = Vec::new();
    for member in members.values() {
        check_below(member, &members, &mut faults);
        if let External::Only(allowed) = member.layer.external {
            for reached in reach(&member.name)? {
                if !members.contains_key(&reached) && !allowed.contains(&reached.as_str()) {
                    faults.push(format!(
                        "{} ({}) reaches {reached}, which its layer does not allow",
                        member.name, member.layer.name
                    ));
                }
            }
        }
    }
    if faults.is_empty() {
        println!(
            "{} crates, every dependency points downwards",
            members.len()
        );
        return Ok(());
    }
    bail!("{}", faults.join("\n"))
}

fn check_below(member: &Member, members: &BTreeMap<String, Member>, faults: &mut Vec<String>) {
    for name in &member.below {
        let Some(dependency) = members.get(name) else {
            continue;
        };
        let below = dependency.layer.name;
        let layer = member.layer.name;
        if !member.layer.below.contains(&below) {
            faults.push(format!(
                "{} ({layer}) depends on {name} ({below})",
                member.name
            ));
        }
        let feature_only = ["pure", "shell"].contains(&layer)
            && name.contains('-')
            && !["bpf-common", "bpf-user", "bpf-build"].contains(&name.as_str())
            && !["lb-ipam"].contains(&name.as_str());
        if feature_only && feature(name) != feature(&member.name) {
            faults.push(format!(
                "{} depends on another feature's {name}",
                member.name
            ));
        }
        for (guarded, allowed) in ONLY_FROM {
            if name == guarded && !allowed.contains(&layer) && *name != member.name {
                faults.push(format!("{} ({layer}) must not know {name}", member.name));
            }
        }
    }
}

/// `xdp-l4lb` of `xdp-l4lb-core`: a package is its path joined by `-`.
fn feature(name: &str) -> &str {
    ["-core", "-common", "-packet", "-ebpf"]
        .iter()
        .find_map(|part| name.strip_suffix(part))
        .unwrap_or(name)
}

fn members() -> Result<BTreeMap<String, Member>> {
    let text = cargo(&["metadata", "--format-version", "1", "--no-deps"])?;
    let metadata: Value = serde_json::from_str(&text).context("reading cargo metadata")?;
    let packages = metadata
        .pointer("/packages")
        .and_then(Value::as_array)
        .context("cargo metadata has no packages")?;
    packages
        .iter()
        .map(|package| {
            let name = package["name"]
                .as_str()
                .context("a package without a name")?;
            Ok((name.to_owned(), member(name, package)?))
        })
        .collect()
}

fn member(name: &str, package: &Value) -> Result<Member> {
    let given = package
        .pointer("/metadata/layer")
        .and_then(Value::as_str)
        .with_context(|| format!("{name} states no [package.metadata] layer"))?;
    let layer = LAYERS
        .iter()
        .find(|layer| layer.name == given)
        .with_context(|| format!("{name} states the unknown layer \"{given}\""))?;
    let dependencies = package["dependencies"]
        .as_array()
        .context("no dependencies")?;
    let below = dependencies
        .iter()
        .filter(|dependency| dependency.get("kind").is_none_or(Value::is_null))
        .filter(|dependency| dependency.get("path").is_some_and(Value::is_string))
        .filter_map(|dependency| dependency.get("name")?.as_str())
        .map(str::to_owned)
        .collect();
    Ok(Member {
        name: name.to_owned(),
        layer,
        below,
    })
}

/// The names of every crate that a crate reaches by normal edges.
fn reach(name: &str) -> Result<BTreeSet<String>> {
    let args = [
        "tree", "-p", name, "-e", "normal", "--prefix", "none", "--format", "{p}",
    ];
    Ok(cargo(&args)?
        .lines()
        .filter_map(|line| line.split(' ').next())
        .filter(|crate_name| !crate_name.is_empty())
        .map(str::to_owned)
        .collect())
}

fn cargo(args: &[&str]) -> Result<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(args)
        .output()
        .context("starting cargo")?;
    if !output.status.success() {
        bail!(
            "cargo {}: {}",
            args.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    String::from_utf8(output.stdout).context("cargo printed no text")
}
