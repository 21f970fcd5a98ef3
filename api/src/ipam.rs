//! What the allocator of addresses writes into conditions, to be read again by whoever comes after it.
//!
//! | condition | on | message |
//! |---|---|---|
//! | `sluicegate.io/AddressesLeaving` | Service | `10.0.0.1 until 2026-01-01T00:00:00Z, ... (...)` |
//! | `sluicegate.io/ForeignAddresses` | Service | `203.0.113.9, ... (...)` |
//! | `sluicegate.io/Reservations` | CiliumLoadBalancerIPPool | `10.0.0.1 for shop/web until 2026-01-01T00:00:00Z, ...` |

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use jiff::Timestamp;
use types::ObjectName;

use crate::Condition;

/// On a Service: it loses addresses that no pool has for it.
pub const LEAVING: &str = "sluicegate.io/AddressesLeaving";
/// Its reason.
pub const REASON_LEAVING: &str = "NoPool";
/// On a Service: its status has addresses of another program.
pub const FOREIGN: &str = "sluicegate.io/ForeignAddresses";
/// Its reason.
pub const REASON_FOREIGN: &str = "NotOfAnyPool";
/// On a pool: addresses wait for Services that were deleted.
pub const RESERVATIONS: &str = "sluicegate.io/Reservations";
/// Its reason.
pub const REASON_RESERVATIONS: &str = "Reserved";

/// Begins what is for people only. No address has it.
const REMARK: &str = " (";

/// The message about addresses that are lost.
#[must_use]
pub fn leaving(addresses: &BTreeMap<IpAddr, Timestamp>) -> String {
    let addresses = addresses.iter();
    let addresses = addresses.map(|(addr, until)| format!("{addr} until {until}"));
    let list: Vec<String> = addresses.collect();
    let list = list.join(", ");
    format!("{list}{REMARK}no pool has it for this Service any more; another one is given then)")
}

/// Reads [`leaving`]. What cannot be read is left out.
#[must_use]
pub fn read_leaving(conditions: &[Condition]) -> BTreeMap<IpAddr, Timestamp> {
    let entry = |entry: &str| {
        let (addr, until) = entry.split_once(" until ")?;
        Some((addr.parse().ok()?, until.parse().ok()?))
    };
    entries(conditions, LEAVING).filter_map(entry).collect()
}

/// The message about addresses of another program.
#[must_use]
pub fn foreign(addresses: &BTreeSet<IpAddr>) -> String {
    let list: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let list = list.join(", ");
    format!("{list}{REMARK}given by another program; kept as long as that keeps it)")
}

/// Reads [`foreign`]. What cannot be read is left out.
#[must_use]
pub fn read_foreign(conditions: &[Condition]) -> BTreeSet<IpAddr> {
    let entries = entries(conditions, FOREIGN);
    entries.filter_map(|entry| entry.parse().ok()).collect()
}

/// The message about addresses that wait for Services.
#[must_use]
pub fn reservations(kept: &[(IpAddr, ObjectName, Timestamp)]) -> String {
    let list = kept.iter();
    let list: Vec<String> = list
        .map(|(addr, service, until)| format!("{addr} for {service} until {until}"))
        .collect();
    list.join(", ")
}

/// Reads [`reservations`]. What cannot be read is left out.
#[must_use]
pub fn read_reservations(conditions: &[Condition]) -> Vec<(IpAddr, ObjectName, Timestamp)> {
    let entry = |entry: &str| {
        let (addr, rest) = entry.split_once(" for ")?;
        let (service, until) = rest.split_once(" until ")?;
        let (namespace, name) = service.split_once('/')?;
        let service = ObjectName::new(namespace, name);
        Some((addr.parse().ok()?, service, until.parse().ok()?))
    };
    let entries = entries(conditions, RESERVATIONS);
    entries.filter_map(entry).collect()
}

fn entries<'c>(conditions: &'c [Condition], kind: &str) -> impl Iterator<Item = &'c str> {
    let condition = conditions.iter().find(|condition| condition.kind == kind);
    let message = condition.map_or("", |condition| &condition.message);
    let list = message.split(REMARK).next().unwrap_or_default();
    list.split(", ").filter(|entry| !entry.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Truth;

    #[test]
    fn what_is_written_is_read_again() {
        let [a, b]: [IpAddr; 2] = ["10.0.0.1", "2001:db8::"].map(|addr| addr.parse().unwrap());
        let until = Timestamp::from_second(1_800_000_000).unwrap();
        let lost = BTreeMap::from([(a, until), (b, until)]);
        let foreign_ones = BTreeSet::from([a, b]);
        let kept = vec![
            (a, ObjectName::new("shop", "web"), until),
            (b, ObjectName::new("7", "until"), until),
        ];

        let conditions = [
            condition(LEAVING, leaving(&lost)),
            condition(FOREIGN, foreign(&foreign_ones)),
            condition(RESERVATIONS, reservations(&kept)),
        ];

        assert_eq!(read_leaving(&conditions), lost);
        assert_eq!(read_foreign(&conditions), foreign_ones);
        assert_eq!(read_reservations(&conditions), kept);
        assert_eq!(
            reservations(&kept),
            "10.0.0.1 for shop/web until 2027-01-15T08:00:00Z, \
             2001:db8:: for 7/until until 2027-01-15T08:00:00Z"
        );
    }

    #[test]
    fn what_others_wrote_says_nothing() {
        let text = "for until, 10.0.0.1 for until 3, 10.0.0.1 until, web, ";
        let conditions = [LEAVING, FOREIGN, RESERVATIONS].map(|kind| condition(kind, text.into()));

        assert!(read_leaving(&conditions).is_empty());
        assert!(read_foreign(&conditions).is_empty());
        assert!(read_reservations(&conditions).is_empty());
        assert!(read_leaving(&[]).is_empty());
    }

    fn condition(kind: &str, message: String) -> Condition {
        Condition {
            kind: kind.to_owned(),
            status: Truth::True,
            reason: String::new(),
            message,
            observed_generation: None,
            last_transition_time: None,
        }
    }
}
