//! CiliumBGPPeerConfig: how to speak to a peer.

use std::time::Duration;

use serde::Deserialize;
use types::Family;

use crate::fault::{At, Faults};
use crate::object::{Document, Raw, RawStatus, Unenforced};
use crate::read;
use crate::selector::{Labels, RawSelector};
use crate::{Condition, Fault, Kind, LabelSelector, Metadata};

/// The names of address families, and those that are exchanged.
const AFIS: [(&str, Option<Family>); 5] = [
    ("ipv4", Some(Family::V4)),
    ("ipv6", Some(Family::V6)),
    ("l2vpn", None),
    ("ls", None),
    ("opaque", None),
];

/// The names of subsequent address families, and those that are exchanged.
const SAFIS: [(&str, bool); 15] = [
    ("unicast", true),
    ("multicast", false),
    ("mpls_label", false),
    ("encapsulation", false),
    ("vpls", false),
    ("evpn", false),
    ("ls", false),
    ("sr_policy", false),
    ("mup", false),
    ("mpls_vpn", false),
    ("mpls_vpn_multicast", false),
    ("route_target_constraints", false),
    ("flowspec_unicast", false),
    ("flowspec_vpn", false),
    ("key_value", false),
];

/// How to speak to a peer.
#[derive(Clone, Debug, PartialEq)]
pub struct BgpPeerConfig {
    /// Its name.
    pub meta: Metadata,
    /// What is set, and the defaults for what is not.
    pub session: SessionSettings,
    /// What its status says so far.
    pub conditions: Vec<Condition>,
    /// Fields that are accepted and not acted upon.
    pub unenforced: Vec<Unenforced>,
}

/// How a session is run. The default is what a peer without a CiliumBGPPeerConfig gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionSettings {
    /// The peer's TCP port.
    pub peer_port: u16,
    /// The interface whose address is the session's source.
    pub source_interface: Option<String>,
    /// From one attempt to connect to the next, before jitter.
    pub connect_retry: Duration,
    /// How long the peer may be silent; never less than `keepalive`.
    pub hold: Duration,
    /// How often this side says that it is there.
    pub keepalive: Duration,
    /// The Secret whose `password` signs the session's segments.
    pub auth_secret: Option<String>,
    /// How long the peer keeps routes while this side restarts; none if it is not to.
    pub graceful_restart: Option<Duration>,
    /// The TTL towards an external peer.
    pub multihop: u8,
    /// The families of routes that are exchanged.
    pub families: Vec<PeerFamily>,
}

/// A family of unicast routes, and which advertisements go with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerFamily {
    /// IPv4 or IPv6, unicast.
    pub family: Family,
    /// Which CiliumBGPAdvertisements; see [`PeerFamily::selects`].
    pub advertisements: Option<LabelSelector>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RawPeerConfigSpec {
    transport: Option<RawTransport>,
    timers: Option<RawTimers>,
    auth_secret_ref: Option<String>,
    graceful_restart: Option<RawGracefulRestart>,
    ebgp_multihop: Option<i64>,
    families: Option<Vec<RawFamily>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawTransport {
    peer_port: Option<i64>,
    source_interface: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawTimers {
    connect_retry_time_seconds: Option<i64>,
    hold_time_seconds: Option<i64>,
    keep_alive_time_seconds: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawGracefulRestart {
    enabled: Option<bool>,
    restart_time_seconds: Option<i64>,
}

#[derive(Deserialize)]
struct RawFamily {
    afi: Option<String>,
    safi: Option<String>,
    advertisements: Option<RawSelector>,
}

/// The timers of a session.
struct Timers {
    connect_retry: Duration,
    hold: Duration,
    keepalive: Duration,
}

impl Default for SessionSettings {
    fn default() -> Self {
        let family = |family| PeerFamily {
            family,
            advertisements: None,
        };
        Self {
            peer_port: 179,
            source_interface: None,
            connect_retry: Duration::from_secs(120),
            hold: Duration::from_secs(90),
            keepalive: Duration::from_secs(30),
            auth_secret: None,
            graceful_restart: None,
            multihop: 1,
            families: vec![family(Family::V6), family(Family::V4)],
        }
    }
}

impl PeerFamily {
    /// Whether advertisements with these labels go to the peer. Without a selector none does.
    #[must_use]
    pub fn selects(&self, advertisement: &Labels) -> bool {
        self.advertisements
            .as_ref()
            .is_some_and(|selector| selector.matches(advertisement, &[]))
    }
}

impl Raw for BgpPeerConfig {
    type Form = Document<RawPeerConfigSpec, RawStatus>;
}

impl TryFrom<Document<RawPeerConfigSpec, RawStatus>> for BgpPeerConfig {
    type Error = Vec<Fault>;

    fn try_from(document: Document<RawPeerConfigSpec, RawStatus>) -> Result<Self, Vec<Fault>> {
        let mut faults = Faults::default();
        let mut unenforced = Vec::new();
        let (meta, spec, status) = document.open(Kind::CiliumBGPPeerConfig, &mut faults);
        let spec = spec.unwrap_or_default();
        let session = spec.check(&At::ROOT.field("spec"), &mut faults, &mut unenforced);
        faults.finish(Some(Self {
            meta,
            session,
            conditions: status.conditions.unwrap_or_default(),
            unenforced,
        }))
    }
}

impl RawPeerConfigSpec {
    fn check(
        self,
        at: &At<'_>,
        faults: &mut Faults,
        unenforced: &mut Vec<Unenforced>,
    ) -> SessionSettings {
        let default = SessionSettings::default();
        let transport_at = at.field("transport");
        let transport = self.transport.unwrap_or_default();
        let port_at = transport_at.field("peerPort");
        let port = read::optional(transport.peer_port, 1..=65535, &port_at, faults);
        let timers = self.timers.unwrap_or_default();
        let timers = timers.check(&default, &at.field("timers"), faults);
        let graceful_restart = self
            .graceful_restart
            .and_then(|raw| raw.check(&at.field("gracefulRestart"), faults));
        let hops_at = at.field("ebgpMultihop");
        let multihop = read::optional(self.ebgp_multihop, 1..=255, &hops_at, faults);
        let families = self.families.filter(|families| !families.is_empty());
        let families = families.map(|raw| {
            read::each(
                Some(raw),
                &at.field("families"),
                faults,
                |raw, at, faults| raw.check(at, faults, unenforced),
            )
        });
        SessionSettings {
            peer_port: port.unwrap_or(default.peer_port),
            source_interface: transport.source_interface.filter(|name| !name.is_empty()),
            connect_retry: timers.connect_retry,
            hold: timers.hold,
            keepalive: timers.keepalive,
            auth_secret: self.auth_secret_ref.filter(|name| !name.is_empty()),
            graceful_restart,
            multihop: multihop.unwrap_or(default.multihop),
            families: families.unwrap_or(default.families),
        }
    }
}

impl RawTimers {
    fn check(self, default: &SessionSettings, at: &At<'_>, faults: &mut Faults) -> Timers {
        let mut seconds = |value, range, default: Duration, field| {
            let secs = read::optional(value, range, &at.field(field), faults);
            secs.map_or(default, Duration::from_secs)
        };
        let retry = self.connect_retry_time_seconds;
        let retries = 1..=i64::from(i32::MAX);
        let hold = self.hold_time_seconds;
        let keepalive = self.keep_alive_time_seconds;
        let timers = Timers {
            connect_retry: seconds(
                retry,
                retries,
                default.connect_retry,
                "connectRetryTimeSeconds",
            ),
            hold: seconds(hold, 3..=65535, default.hold, "holdTimeSeconds"),
            keepalive: seconds(
                keepalive,
                1..=65535,
                default.keepalive,
                "keepAliveTimeSeconds",
            ),
        };
        if timers.keepalive > timers.hold {
            let (keepalive, hold) = (timers.keepalive.as_secs(), timers.hold.as_secs());
            let reason = format_args!("{keepalive} is larger than holdTimeSeconds, {hold}");
            faults.add(&at.field("keepAliveTimeSeconds"), reason);
        }
        timers
    }
}

impl RawGracefulRestart {
    fn check(self, at: &At<'_>, faults: &mut Faults) -> Option<Duration> {
        let enabled = read::required(self.enabled, &at.field("enabled"), faults)?;
        let time = self.restart_time_seconds;
        let at = at.field("restartTimeSeconds");
        let secs: u64 = read::number(time, 1..=4095, 120, &at, faults);
        enabled.then(|| Duration::from_secs(secs))
    }
}

impl RawFamily {
    fn check(
        self,
        at: &At<'_>,
        faults: &mut Faults,
        unenforced: &mut Vec<Unenforced>,
    ) -> Option<PeerFamily> {
        let advertisements = self
            .advertisements
            .map(|raw| raw.check(&at.field("advertisements"), faults));
        let afi = read::required(self.afi, &at.field("afi"), faults)
            .and_then(|afi| read::one_of(&afi, &AFIS, &at.field("afi"), faults));
        let safi = read::required(self.safi, &at.field("safi"), faults)
            .and_then(|safi| read::one_of(&safi, &SAFIS, &at.field("safi"), faults));
        let (Some(family), true) = (afi?, safi?) else {
            let note = "only ipv4 and ipv6 unicast are exchanged";
            unenforced.push(Unenforced::new(at, note));
            return None;
        };
        Some(PeerFamily {
            family,
            advertisements,
        })
    }
}
