//! What the kernel holds: read from its tables, not from what the agent believes.

use serde::{Deserialize, Serialize};
use types::{BackendAddr, Vip};

use crate::Role;

/// Every balanced service in the kernel; of a backend, only the verdicts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lb {
    /// What the node does.
    pub role: Role,
    /// By virtual address.
    pub services: Vec<LbService>,
    /// Slots and flows in change.
    pub transitions: Transitions,
    /// Packets that were dropped or let through, by reason.
    pub verdicts: Vec<(String, u64)>,
}

/// One service record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LbService {
    /// What clients dial.
    pub vip: Vip,
    /// How many slots its table has; zero without a table.
    pub slots: u32,
    /// How many of them are in change.
    pub slots_in_change: u32,
    /// Packets and bytes to it.
    pub counters: Counters,
    /// Its backends.
    pub backends: Vec<LbBackend>,
}

/// One backend of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LbBackend {
    /// The membership's number in the kernel.
    pub id: u32,
    /// The backend's address.
    pub address: std::net::IpAddr,
    /// Whether it can be sent to; a backend that is gone cannot.
    pub live: bool,
    /// Whether its next hop is known.
    pub resolved: bool,
    /// Slots that give it new flows.
    pub current: u32,
    /// Slots that give it flows that are not remembered.
    pub previous: u32,
    /// Packets and bytes sent to it.
    pub counters: Counters,
}

/// Packets and bytes since the record was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Packets.
    pub packets: u64,
    /// Bytes, before encapsulation.
    pub bytes: u64,
}

/// Slots and flows in change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Transitions {
    /// Slots in change.
    pub slots: u64,
    /// Flows remembered for them.
    pub flows: u64,
    /// SYNs that stayed with the previous backend because no flow could be remembered.
    pub syns_deferred: u64,
    /// The age of the oldest slot in change.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub oldest_secs: Option<u64>,
}

/// The lookup table of one virtual address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Maglev {
    /// What clients dial.
    pub vip: Vip,
    /// Each backend's share of new flows.
    pub shares: Vec<Share>,
    /// The backend of every slot, as an index into `shares`.
    pub table: Vec<Option<u32>>,
}

/// A backend's share of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// The backend; its port is the virtual address's.
    pub backend: BackendAddr,
    /// Slots that are its.
    pub slots: u32,
}
