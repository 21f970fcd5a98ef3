//! What the balancer shows of itself.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use types::Vip;
use xdp_l4lb_core::ServiceStatus;
use xdp_l4lb_core::desired::ServiceKey;

use crate::links::LinkState;
use crate::next_hops::Unresolved;

/// The balancer at some moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Frontends that may be announced: in the tables, with a program in front of them.
    pub ready: BTreeSet<Vip>,
    /// Every service as it is planned.
    pub services: BTreeMap<ServiceKey, ServiceStatus>,
    /// What each interface runs.
    pub interfaces: BTreeMap<String, LinkState>,
    /// Backend addresses without a way.
    pub unresolved: BTreeMap<IpAddr, Unresolved>,
    /// What failed and is being tried again, by what it was.
    pub faults: BTreeMap<&'static str, String>,
    /// Slots in change, as counted lately.
    pub open_slots: u32,
    /// For how long the oldest of them has been, at least.
    pub oldest_change: Option<Duration>,
    /// Words and entries of the kernel's tables changed since the start, the clock's ticks aside.
    pub stores: u64,
    /// Links made or switched to another program since the start.
    pub links_changed: u64,
    /// The number of the program in use.
    pub program: u32,
    /// Whether everything desired has been told once.
    pub synced: bool,
}

/// Whether packets for a VIP that arrive on any interface meet the program: one refusal is enough
/// to lose a share of them, an interface that is absent gets none.
pub(crate) fn forwards(interfaces: &BTreeMap<String, LinkState>) -> bool {
    let refused = |state: &LinkState| matches!(state, LinkState::Refused(_));
    interfaces.values().any(LinkState::is_attached) && !interfaces.values().any(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_forwards_when_no_packet_can_miss_the_program() {
        let refused = LinkState::Refused("busy".into());
        for (states, expected) in [
            (vec![], false),
            (vec![LinkState::Native], true),
            (vec![LinkState::Generic, LinkState::Absent], true),
            (vec![LinkState::Absent], false),
            (vec![LinkState::Native, refused], false),
        ] {
            let interfaces = states
                .iter()
                .enumerate()
                .map(|(n, state)| (format!("eth{n}"), state.clone()))
                .collect();

            assert_eq!(forwards(&interfaces), expected, "{states:?}");
        }
    }
}
