//! How much the API server was asked to write, by its own count.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::cluster::ControlPlane;

/// Between two looks.
const STEP: Duration = Duration::from_secs(1);

/// How long it may take until nothing is written any more.
const PATIENCE: Duration = Duration::from_secs(120);

/// What changes objects. Server-side apply counts as one of its own.
const VERBS: [&str; 5] = ["APPLY", "DELETE", "PATCH", "POST", "PUT"];

/// What a leader, and the API server itself, writes all the time; reviews of who may do what are
/// asked as writes.
const NOT_COUNTED: [&str; 5] = [
    "leases",
    "events",
    "tokenreviews",
    "subjectaccessreviews",
    "selfsubjectaccessreviews",
];

/// Requests that wrote, successful or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Writes {
    /// Of statuses of Services.
    pub(super) of_services: u64,
    /// Of anything but leases.
    pub(super) all: u64,
}

/// All that were asked for so far.
pub(super) fn writes(plane: &ControlPlane) -> Result<Writes> {
    Ok(count(&plane.kubectl("get --raw /metrics")?))
}

/// Waits until nothing was written for so long.
pub(super) fn settled(plane: &ControlPlane, quiet: Duration) -> Result<Writes> {
    let deadline = Instant::now() + PATIENCE + quiet;
    let mut last = (writes(plane)?, Instant::now());
    while last.1.elapsed() < quiet {
        ensure!(
            Instant::now() < deadline,
            "writes have no end: {:?}",
            last.0
        );
        thread::sleep(STEP);
        let now = writes(plane).context("counting writes")?;
        if now != last.0 {
            last = (now, Instant::now());
        }
    }
    Ok(last.0)
}

fn count(metrics: &str) -> Writes {
    let mut writes = Writes {
        of_services: 0,
        all: 0,
    };
    let lines = metrics.lines();
    for line in lines.filter(|line| line.starts_with("apiserver_request_total{")) {
        let label = |name: &str| {
            let (_, rest) = line.split_once(&format!("{name}=\""))?;
            rest.split_once('"').map(|(value, _)| value)
        };
        let resource = label(",resource").unwrap_or_default();
        let is_write = label(",verb").is_some_and(|verb| VERBS.contains(&verb));
        let number: Option<u64> = line
            .rsplit_once(' ')
            .and_then(|(_, text)| text.parse().ok());
        let (Some(number), true, false) = (number, is_write, NOT_COUNTED.contains(&resource))
        else {
            continue;
        };
        writes.all += number;
        if resource == "services" && label(",subresource") == Some("status") {
            writes.of_services += number;
        }
    }
    writes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_are_counted_and_reads_and_leases_are_not() {
        let line = |verb: &str, resource: &str, subresource: &str, number: u64| {
            format!(
                "apiserver_request_total{{code=\"200\",component=\"apiserver\",dry_run=\"\",\
                 group=\"\",resource=\"{resource}\",scope=\"resource\",\
                 subresource=\"{subresource}\",verb=\"{verb}\",version=\"v1\"}} {number}\n"
            )
        };
        let metrics = line("PATCH", "services", "status", 27)
            + &line("GET", "services", "status", 1000)
            + &line("PUT", "leases", "", 1000)
            + &line("APPLY", "services", "", 2)
            + "apiserver_request_slo_total{resource=\"services\",verb=\"PUT\"} 1000\n";

        assert_eq!(
            count(&metrics),
            Writes {
                of_services: 27,
                all: 29
            }
        );
    }
}
