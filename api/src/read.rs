//! Values out of raw ones: each check that fails is a fault at its path.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;

use types::Protocol;

use crate::Unenforced;
use crate::fault::{At, Faults};
use crate::selector::Labels;

/// The longest label value, and the longest part of a label key (Kubernetes API conventions).
const LABEL_LEN: usize = 63;

/// The value, or a fault that it is missing.
pub(crate) fn required<T>(value: Option<T>, at: &At<'_>, faults: &mut Faults) -> Option<T> {
    if value.is_none() {
        faults.add(at, "is required");
    }
    value
}

/// A number within `range`, `default` if absent.
pub(crate) fn number<T: TryFrom<i64> + Copy>(
    value: Option<i64>,
    range: RangeInclusive<i64>,
    default: T,
    at: &At<'_>,
    faults: &mut Faults,
) -> T {
    optional(value, range, at, faults).unwrap_or(default)
}

/// A number within `range`, if there is one.
pub(crate) fn optional<T: TryFrom<i64>>(
    value: Option<i64>,
    range: RangeInclusive<i64>,
    at: &At<'_>,
    faults: &mut Faults,
) -> Option<T> {
    let value = value?;
    let number = T::try_from(value).ok().filter(|_| range.contains(&value));
    if number.is_none() {
        let (least, most) = (range.start(), range.end());
        faults.add(
            at,
            format_args!("{value} is not between {least} and {most}"),
        );
    }
    number
}

/// What `text` says, by the type's own parser.
pub(crate) fn parsed<T>(text: &str, at: &At<'_>, faults: &mut Faults) -> Option<T>
where
    T: FromStr<Err: Display>,
{
    text.parse().map_err(|error| faults.add(at, error)).ok()
}

/// An address without port, prefix length or zone.
pub(crate) fn address(text: &str, at: &At<'_>, faults: &mut Faults) -> Option<IpAddr> {
    let addr = text.parse().ok();
    if addr.is_none() {
        faults.add(at, format_args!("\"{text}\" is not an IP address"));
    }
    addr
}

/// TCP or UDP, TCP if absent. SCTP is a protocol that Kubernetes has and nothing here balances.
pub(crate) fn protocol(
    text: Option<&str>,
    at: &At<'_>,
    faults: &mut Faults,
    unenforced: &mut Vec<Unenforced>,
) -> Option<Protocol> {
    const PROTOCOLS: [(&str, Option<Protocol>); 3] = [
        ("TCP", Some(Protocol::Tcp)),
        ("UDP", Some(Protocol::Udp)),
        ("SCTP", None),
    ];
    let protocol = one_of(text.unwrap_or("TCP"), &PROTOCOLS, at, faults)?;
    if protocol.is_none() {
        unenforced.push(Unenforced::new(
            at,
            "SCTP is not balanced; the port is left out",
        ));
    }
    protocol
}

/// Every item of a list, each with its own path; those with faults are left out.
pub(crate) fn each<R, T>(
    list: Option<Vec<R>>,
    at: &At<'_>,
    faults: &mut Faults,
    mut check: impl FnMut(R, &At<'_>, &mut Faults) -> Option<T>,
) -> Vec<T> {
    let list = list.unwrap_or_default().into_iter().enumerate();
    list.filter_map(|(index, item)| check(item, &at.index(index), faults))
        .collect()
}

/// A fault for each item whose name an earlier one has.
pub(crate) fn unique<'n>(
    names: impl Iterator<Item = Option<&'n str>>,
    field: &str,
    at: &At<'_>,
    faults: &mut Faults,
) {
    let mut seen = BTreeSet::new();
    for (index, name) in names.enumerate() {
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            continue;
        };
        if !seen.insert(name) {
            let at = at.index(index);
            faults.add(&at.field(field), format_args!("\"{name}\" is there twice"));
        }
    }
}

/// The choice of that name.
pub(crate) fn one_of<T: Copy>(
    text: &str,
    choices: &[(&str, T)],
    at: &At<'_>,
    faults: &mut Faults,
) -> Option<T> {
    let found = choices.iter().find(|(name, _)| *name == text);
    if found.is_none() {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let names = names.join(", ");
        faults.add(at, format_args!("\"{text}\" is not one of {names}"));
    }
    found.map(|(_, choice)| *choice)
}

/// Faults of label keys and values.
pub(crate) fn labels(labels: &Labels, at: &At<'_>, faults: &mut Faults) {
    for (key, value) in labels {
        let at = at.field(key);
        label_key(key, &at, faults);
        label_value(value, &at, faults);
    }
}

/// A fault unless `key` is a qualified name: `NAME` or `SUBDOMAIN/NAME`.
pub(crate) fn label_key(key: &str, at: &At<'_>, faults: &mut Faults) {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    let prefix_is_good = prefix.is_none_or(is_subdomain);
    if !prefix_is_good || name.is_empty() || !is_label_text(name) {
        faults.add(at, format_args!("\"{key}\" is not a label key"));
    }
}

/// A fault unless `value` can be a label's value.
pub(crate) fn label_value(value: &str, at: &At<'_>, faults: &mut Faults) {
    if !is_label_text(value) {
        let rule =
            "at most 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends";
        faults.add(at, format_args!("\"{value}\" is not a label value: {rule}"));
    }
}

/// A fault unless `name` can name an object.
pub(crate) fn object_name(name: &str, at: &At<'_>, faults: &mut Faults) {
    if !is_subdomain(name) {
        let rule = "lower-case letters, digits, '-' and '.', with a letter or digit at both ends";
        faults.add(
            at,
            format_args!("\"{name}\" is not a name: expected {rule}"),
        );
    }
}

/// A fault unless `name` can name a namespace.
pub(crate) fn namespace(name: &str, at: &At<'_>, faults: &mut Faults) {
    if name.len() > LABEL_LEN || name.contains('.') || !is_subdomain(name) {
        faults.add(at, format_args!("\"{name}\" is not a namespace"));
    }
}

fn is_subdomain(text: &str) -> bool {
    let is_part = |part: &str| {
        let bytes = part.as_bytes();
        has_ends(bytes, |b| b.is_ascii_lowercase() || b.is_ascii_digit())
            && bytes
                .iter()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
    };
    text.len() <= 253 && text.split('.').all(is_part)
}

fn is_label_text(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() <= LABEL_LEN
        && (bytes.is_empty() || has_ends(bytes, u8::is_ascii_alphanumeric))
        && bytes
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

fn has_ends(bytes: &[u8], good: impl Fn(&u8) -> bool) -> bool {
    bytes.first().is_some_and(&good) && bytes.last().is_some_and(&good)
}
