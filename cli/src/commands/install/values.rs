//! What is to be said of a user's values, by the table that the chart's NOTES read too.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::Value;

/// What becomes of each value.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Support {
    values: BTreeMap<String, Line>,
}

/// What becomes of one value, or of all below a path that ends with `.*`.
/// The key of the ConfigMap that takes it is for the chart's templates only.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Line {
    /// How it is written there.
    form: Option<Form>,
    /// What is so instead.
    missing: Option<String>,
    /// Settings that ask for nothing that is missing.
    quiet: Vec<String>,
    /// The only settings that do.
    asks: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Form {
    Words,
    Cidr,
}

impl Support {
    /// Reads the table; nothing is known of values by an empty one.
    ///
    /// # Errors
    /// If it is no such table.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        serde_saphyr::from_str(text).context("reading the chart's files/support.yaml")
    }

    /// A line for every value that does not do what it says, in the order of paths.
    pub(crate) fn warnings(&self, values: &Value) -> Vec<String> {
        let mut leaves = BTreeMap::new();
        collect("", values, &mut leaves);
        leaves
            .iter()
            .filter(|(_, word)| !word.is_empty())
            .flat_map(|(path, word)| self.warnings_of(path, word))
            .collect()
    }

    fn warnings_of(&self, path: &str, word: &str) -> Vec<String> {
        if self.values.is_empty() {
            return Vec::new();
        }
        let Some(line) = self.line(path) else {
            return vec![format!("{path}={word}: no such value; it has no effect")];
        };
        let mut said = Vec::new();
        if let (Some(Form::Cidr), Some(used)) = (line.form, without_host_bits(word)) {
            said.push(format!("{path}={word}: has host bits set; {used} is used"));
        }
        let one_of = |words: &[String]| words.iter().any(|known| known == word);
        let asks = if line.asks.is_empty() {
            !one_of(&line.quiet)
        } else {
            one_of(&line.asks)
        };
        if let (Some(missing), true) = (&line.missing, asks) {
            said.push(format!("{path}={word}: not implemented; {missing}"));
        }
        said
    }

    /// The line of the path itself, or of the closest path above it.
    fn line(&self, path: &str) -> Option<&Line> {
        if let Some(line) = self.values.get(path) {
            return Some(line);
        }
        let mut start = path;
        loop {
            if let Some(line) = self.values.get(&format!("{start}.*")) {
                return Some(line);
            }
            start = start.rsplit_once('.')?.0;
        }
    }
}

fn collect(path: &str, value: &Value, into: &mut BTreeMap<String, String>) {
    let Value::Object(fields) = value else {
        into.insert(path.to_owned(), word(value));
        return;
    };
    for (name, value) in fields {
        let below = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        collect(&below, value, into);
    }
}

/// A setting as a user would write it.
fn word(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.trim().to_owned(),
        Value::Array(items) => items.iter().map(word).collect::<Vec<_>>().join(","),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

/// An IPv4 prefix without its host bits, if it has any.
fn without_host_bits(text: &str) -> Option<String> {
    let (addr, len) = text.split_once('/')?;
    let (addr, len): (Ipv4Addr, u32) = (addr.parse().ok()?, len.parse().ok()?);
    let mask = u32::MAX.checked_shl(32_u32.checked_sub(len)?).unwrap_or(0);
    let base = Ipv4Addr::from(u32::from(addr) & mask);
    (base != addr).then(|| format!("{base}/{len}"))
}

#[cfg(test)]
mod tests;
