//! Prometheus metrics, with Cilium's names where Cilium has one.

use std::sync::atomic::AtomicU64;

use operator::{Ending, Standing, Summary, Tally};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// What the text is.
pub(crate) const FORMAT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Labels = Vec<(&'static str, String)>;
type Gauges = Family<Labels, Gauge<f64, AtomicU64>>;
type Counters = Family<Labels, Counter>;

/// The metrics of this moment.
pub(crate) fn text(standing: &Standing, tally: &Tally) -> String {
    let mut registry = Registry::default();
    let summary = match standing {
        Standing::Leading { summary } => Some(summary.clone().unwrap_or_default()),
        Standing::Standby { .. } | Standing::Ended => None,
    };
    let leads = if summary.is_some() { 1.0 } else { 0.0 };
    gauge(
        &mut registry,
        "sluice_operator_leader",
        "1 if this operator leads",
        leads,
    );
    // A standby knows nothing about these, and must not say zero.
    if let Some(summary) = &summary {
        work(&mut registry, summary);
        ipam(&mut registry, summary);
    }
    writes(&mut registry, tally);
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = encode(&mut text, &registry);
    text
}

fn work(registry: &mut Registry, summary: &Summary) {
    let help = "Objects that are to be written or are being written";
    gauge(
        registry,
        "sluice_operator_queue",
        help,
        count(summary.waiting),
    );
    let faults = Gauges::default();
    for error in summary.faults.values() {
        let reason = Ending::of_error(error).as_str().to_owned();
        faults.get_or_create(&vec![("reason", reason)]).inc();
    }
    let help = "Objects that could not be written when last tried";
    registry.register("sluice_operator_faults", help, faults);
}

fn ipam(registry: &mut Registry, summary: &Summary) {
    let figures = &summary.figures;
    for (name, help, value) in [
        (
            "cilium_operator_lbipam_conflicting_pools",
            "Pools that conflict",
            figures.conflicting,
        ),
        (
            "cilium_operator_lbipam_services_matching",
            "Services that addresses are given to",
            figures.matching,
        ),
        (
            "cilium_operator_lbipam_services_unsatisfied",
            "Services without all the addresses they ask for",
            figures.unsatisfied,
        ),
        (
            "sluice_operator_services_leaving",
            "Services that keep an address for a while that no pool has for them any more",
            figures.leaving,
        ),
        (
            "sluice_operator_addresses_reserved",
            "Addresses that wait for a service to return",
            figures.reserved,
        ),
    ] {
        gauge(registry, name, help, count(value));
    }
    let (available, used) = (Gauges::default(), Gauges::default());
    for (name, pool) in &summary.pools {
        let labels = vec![("pool", name.name.to_string())];
        // Any decimal number is a float: that of an IPv6 pool loses its last digits.
        let float = |count: String| count.parse::<f64>().unwrap_or(f64::MAX);
        available
            .get_or_create(&labels)
            .set(float(pool.available.to_string()));
        used.get_or_create(&labels)
            .set(float(pool.used.to_string()));
    }
    let help = "Free addresses of a pool";
    registry.register("cilium_operator_lbipam_ips_available", help, available);
    let help = "Given addresses of a pool";
    registry.register("cilium_operator_lbipam_ips_used", help, used);
}

/// Names get `_total` from the format.
fn writes(registry: &mut Registry, tally: &Tally) {
    let (writes, errors) = (Counters::default(), Counters::default());
    for ((kind, ending), number) in tally.counts() {
        let mut labels = vec![("kind", kind.to_owned())];
        let counters = if ending == Ending::Written {
            &writes
        } else {
            labels.push(("reason", ending.as_str().to_owned()));
            &errors
        };
        counters.get_or_create(&labels).inc_by(number);
    }
    let help = "Statuses and objects that were written";
    registry.register("sluice_operator_writes", help, writes);
    let help = "Writes that came to nothing";
    registry.register("sluice_operator_write_errors", help, errors);
}

fn gauge(registry: &mut Registry, name: &str, help: &str, value: f64) {
    let gauge = Gauge::<f64, AtomicU64>::default();
    gauge.set(value);
    registry.register(name, help, gauge);
}

/// No count here reaches 2^53.
#[expect(clippy::cast_precision_loss, reason = "no count here reaches 2^53")]
fn count(number: usize) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use lb_ipam::{Count, Figures, PoolConditions};
    use types::ObjectName;

    use super::*;

    #[test]
    fn a_standby_says_only_that_it_is_one() {
        let standing = Standing::Standby {
            holder: None,
            trouble: None,
        };

        let text = text(&standing, &Tally::default());

        assert!(text.contains("sluice_operator_leader 0.0\n"), "{text}");
        assert!(!text.contains("lbipam"), "{text}");
    }

    #[test]
    fn a_leader_has_ciliums_metrics_and_its_own() {
        let conditions = PoolConditions {
            available: Count::from(3),
            used: Count::from(5),
            total: Count::from(8),
            conflict: None,
        };
        let summary = Summary {
            figures: Figures {
                matching: 5,
                unsatisfied: 1,
                ..Figures::default()
            },
            waiting: 2,
            pools: [(ObjectName::of_cluster("blue"), conditions)].into(),
            ..Summary::default()
        };
        let standing = Standing::Leading {
            summary: Some(summary),
        };

        let text = text(&standing, &Tally::default());

        for line in [
            "sluice_operator_leader 1.0",
            "sluice_operator_queue 2.0",
            "cilium_operator_lbipam_conflicting_pools 0.0",
            "cilium_operator_lbipam_services_matching 5.0",
            "cilium_operator_lbipam_services_unsatisfied 1.0",
            "cilium_operator_lbipam_ips_available{pool=\"blue\"} 3.0",
            "cilium_operator_lbipam_ips_used{pool=\"blue\"} 5.0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
