//! What a speaker should be: instances, peers, and what they export.
//!
//! Instances are small and replaced whole. Exports may hold a million prefixes, so they change
//! by deltas, and peers with equal exports name the same one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

pub use bgp_speaker_packet::Origin;
use types::{Asn, Family, Prefix, RouterId};

/// The name of a BGP instance (a virtual router) on this node. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceName(Arc<str>);

/// The name of a peer within its instance. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerName(Arc<str>);

/// Names a set of exported prefixes with their attributes; chosen by the caller.
///
/// Valid for the whole speaker: peers of several instances may name the same one. An export
/// that nobody has announced anything into is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExportId(pub u32);

/// One BGP instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Unique on the node.
    pub name: InstanceName,
    /// The AS of every session of this instance.
    pub local_asn: Asn,
    /// The BGP identifier.
    pub router_id: RouterId,
    /// Where to listen; `None` is active peering only.
    pub local_port: Option<u16>,
    /// The configured peers.
    pub peers: BTreeMap<PeerName, Peer>,
}

/// One configured peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The peer's address.
    pub address: IpAddr,
    /// The zone of a link-local IPv6 address: an interface's name.
    pub scope: Option<Arc<str>>,
    /// The peer's TCP port.
    pub port: u16,
    /// The AS the peer must have; `None` accepts any.
    pub asn: Option<Asn>,
    /// The session's own address, where it must be a certain one.
    pub local_address: Option<IpAddr>,
    /// Timers, before negotiation.
    pub timers: Timers,
    /// TTL of an eBGP session's packets; iBGP ignores it.
    pub ebgp_multihop: u8,
    /// TCP MD5 key (RFC 2385).
    pub password: Option<Secret>,
    /// The restart time to ask for (RFC 4724); `None` turns graceful restart off.
    pub graceful_restart: Option<Duration>,
    /// The families to negotiate, and what is exported in each: `None` exports nothing.
    pub families: BTreeMap<Family, Option<ExportId>>,
    /// Never dial, wait for the peer to do so.
    pub passive: bool,
}

/// A session's timers, before negotiation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timers {
    /// The longest pause between two attempts to connect, stretched by a random factor of 1 to 2.
    pub connect_retry: Duration,
    /// Silence after which the peer is dead.
    pub hold: HoldTime,
    /// The longest pause between two KEEPALIVEs; a third of the negotiated hold time at most.
    pub keepalive: Duration,
}

/// Zero disables the timer; one and two seconds are forbidden (RFC 4271 §4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HoldTime(u16);

/// A hold time of one or two seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a hold time of {0} s is not allowed: expected 0 or 3 to 65535")]
pub struct BadHoldTime(u16);

/// A password. Its text leaves only through [`Secret::expose`].
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<[u8]>);

/// A change to one export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExportChange {
    /// The prefix is exported with these attributes, whatever it was before.
    Announce {
        /// Which export.
        export: ExportId,
        /// What is announced; peers hear it only if they name the export for its family.
        prefix: Prefix,
        /// With what.
        attributes: Attributes,
    },
    /// The prefix is not exported.
    Withdraw {
        /// Which export.
        export: ExportId,
        /// What is withdrawn.
        prefix: Prefix,
    },
    /// Nothing is exported in it.
    Clear(ExportId),
}

/// The attributes that an originated prefix is exported with.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attributes {
    /// ORIGIN.
    pub origin: Origin,
    /// LOCAL_PREF: sent to iBGP peers only. `None` sends 100, the customary default.
    pub local_pref: Option<u32>,
    /// COMMUNITIES (RFC 1997).
    pub communities: BTreeSet<u32>,
    /// LARGE_COMMUNITIES (RFC 8092).
    pub large: BTreeSet<(u32, u32, u32)>,
}

impl Peer {
    /// A peer with the defaults of every optional setting and no families.
    #[must_use]
    pub fn new(address: IpAddr) -> Self {
        Self {
            address,
            scope: None,
            port: 179,
            asn: None,
            local_address: None,
            timers: Timers::default(),
            ebgp_multihop: 1,
            password: None,
            graceful_restart: None,
            families: BTreeMap::new(),
            passive: false,
        }
    }
}

impl Default for Timers {
    fn default() -> Self {
        Self {
            connect_retry: Duration::from_secs(120),
            hold: HoldTime(90),
            keepalive: Duration::from_secs(30),
        }
    }
}

impl HoldTime {
    /// The bare number of an OPEN message.
    #[must_use]
    pub const fn secs(self) -> u16 {
        self.0
    }

    /// The time itself; `None` if the timer is disabled.
    #[must_use]
    pub fn duration(self) -> Option<Duration> {
        (self.0 != 0).then(|| Duration::from_secs(self.0.into()))
    }
}

impl TryFrom<u16> for HoldTime {
    type Error = BadHoldTime;

    fn try_from(secs: u16) -> Result<Self, BadHoldTime> {
        match secs {
            0 | 3.. => Ok(Self(secs)),
            1 | 2 => Err(BadHoldTime(secs)),
        }
    }
}

impl Secret {
    /// Keeps `text` secret.
    #[must_use]
    pub fn new(text: &[u8]) -> Self {
        Self(text.into())
    }

    /// The secret's bytes, for the kernel only.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl InstanceName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PeerName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for InstanceName {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl From<&str> for PeerName {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl fmt::Display for InstanceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for PeerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_printed() {
        let mut peer = Peer::new("10.0.0.1".parse().unwrap());
        peer.password = Some(Secret::new(b"hunter2"));

        assert!(!format!("{peer:?}").contains("hunter2"));
    }

    #[test]
    fn hold_times_of_one_and_two_seconds_do_not_exist() {
        assert_eq!(HoldTime::try_from(1), Err(BadHoldTime(1)));
        assert_eq!(HoldTime::try_from(2), Err(BadHoldTime(2)));
        assert_eq!(HoldTime::try_from(0).map(HoldTime::duration), Ok(None));
        assert_eq!(HoldTime::try_from(3).map(HoldTime::secs), Ok(3));
    }
}
