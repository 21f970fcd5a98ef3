//! What the balancer shows of itself.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use types::{BackendAddr, Vip};
use xdp_l4lb_core::desired::ServiceKey;

use crate::links::LinkState;
use crate::next_hops::Unresolved;
use crate::probes::ProbeError;

/// The balancer at some moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Frontends that may be announced: in the tables, with a program in front of them.
    pub ready: Arc<BTreeSet<Vip>>,
    /// What each interface runs.
    pub interfaces: BTreeMap<String, LinkState>,
    /// Backend addresses without a way.
    pub unresolved: BTreeMap<IpAddr, Unresolved>,
    /// Why the last probe of a backend failed, for those that did.
    pub failing: BTreeMap<(ServiceKey, BackendAddr), ProbeError>,
    /// Services of which more than half of the backends fail, so that none is taken out.
    pub alarms: BTreeSet<ServiceKey>,
    /// What failed and is being tried again, by what it was.
    pub faults: BTreeMap<&'static str, String>,
    /// Slots in change, as counted lately.
    pub open_slots: u32,
    /// For how long the oldest of them has been, at least.
    pub oldest_change: Option<Duration>,
    /// How often something was planned: while it is the same, so is [`super::Balancer::services`].
    pub plans: u64,
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
