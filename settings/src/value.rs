//! The forms that values have, as Go's programs write them.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;

use crate::Serve;

/// What Go takes for a boolean.
pub(crate) fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "True" | "TRUE" => Ok(true),
        "0" | "f" | "F" | "false" | "False" | "FALSE" => Ok(false),
        _ => Err("is neither true nor false".to_owned()),
    }
}

/// Reads a duration: numbers with units, as in `1m30s` or `500ms`.
///
/// # Errors
/// What is wrong with it, as in "is not a duration".
pub fn duration(text: &str) -> Result<Duration, String> {
    let bad = || "is not a duration, such as 15s or 1m30s".to_owned();
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
        let (number, after) = rest.split_at_checked(digits).ok_or_else(bad)?;
        let letters = after
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(letters).ok_or_else(bad)?;
        let number: u64 = number.parse().map_err(|_| bad())?;
        let part = match unit {
            "ms" => Some(Duration::from_millis(number)),
            "s" => Some(Duration::from_secs(number)),
            "m" => number.checked_mul(60).map(Duration::from_secs),
            "h" => number.checked_mul(3600).map(Duration::from_secs),
            _ => None,
        };
        total = part
            .and_then(|part| total.checked_add(part))
            .ok_or_else(bad)?;
        rest = after;
    }
    if total.is_zero() {
        Err(bad())
    } else {
        Ok(total)
    }
}

/// Words between commas or spaces, also in braces, as `helm --set` writes lists.
pub(crate) fn words(text: &str) -> Vec<String> {
    text.trim()
        .trim_start_matches('{')
        .trim_end_matches('}')
        .split(|c: char| c == ',' || c.is_whitespace())
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// An address to listen on, as Go has it: `:9963` is every address, and nothing is nowhere.
pub(crate) fn serve(text: &str) -> Result<Serve, String> {
    if text.is_empty() {
        return Ok(Serve::Off);
    }
    let every = text.strip_prefix(':').and_then(|port| port.parse().ok());
    match every {
        Some(port) => Ok(Serve::On(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)))),
        None => text
            .parse()
            .map(Serve::On)
            .map_err(|_| "is not ADDRESS:PORT or :PORT".to_owned()),
    }
}

/// A prefix, and what it is without its host bits if it has any.
pub(crate) fn prefix(text: &str) -> Result<(IpNet, bool), String> {
    let net: IpNet = text
        .parse()
        .map_err(|_| "is not a prefix, such as 10.0.0.0/8".to_owned())?;
    Ok((net.trunc(), net.trunc() != net))
}

/// The base of a prefix that leaves room for the flow's hash.
pub(crate) fn outer(text: &str, most: u8) -> Result<(IpAddr, u8), String> {
    let (net, _) = prefix(text)?;
    if net.prefix_len() > most {
        return Err(format!(
            "leaves no room for the flow's hash: expected at most {most} bits"
        ));
    }
    Ok((net.network(), net.prefix_len()))
}

/// The name of a network interface.
pub(crate) fn interface(name: &str) -> Result<(), String> {
    let good =
        (1..=15).contains(&name.len()) && !name.contains(|c: char| c == '/' || c.is_whitespace());
    if good {
        return Ok(());
    }
    Err(format!("has \"{name}\", which is not an interface's name"))
}

/// The name of a namespace (RFC 1123's label).
pub(crate) fn namespace(name: &str) -> Result<(), String> {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let good = (1..=63).contains(&name.len())
        && name.chars().all(inner)
        && !name.starts_with('-')
        && !name.ends_with('-');
    if good {
        return Ok(());
    }
    Err(format!("has \"{name}\", which is not a namespace's name"))
}
