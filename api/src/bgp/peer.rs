//! CiliumBGPPeerConfig: how to speak to a peer.

use std::time::Duration;

use serde::Deserialize;
use types::Family;

use crate::fault::{At, Faults};
use crate::object::{Document, Raw, RawStatus, Unenforced};
use crate::read;
use crate::selector::{Labels, RawSelector};
use crate::{Condition, Fault, Kind, LabelSelector, Metadata};

/// How to speak to a peer.
#[derive(Clone, Debug, PartialEq)]
pub struct BgpPeerConfig {
    /// Its name.
    pub meta: Metadata,
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
    /// What its status says so far.
    pub conditions: Vec<Condition>,
    /// Fields that are accepted and not acted upon.
    pub unenforced: Vec<Unenforced>,
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

impl BgpPeerConfig {
    /// What applies to a peer that names no CiliumBGPPeerConfig: every default.
    #[must_use]
    pub fn families_by_default() -> Vec<PeerFamily> {
        let family = |family| PeerFamily {
            family,
            advertisements: None,
        };
        vec![family(Family::V6), family(Family::V4)]
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
        let at = At::ROOT.field("spec");
        let (meta, spec, status) = document.open(Kind::CiliumBGPPeerConfig, &mut faults);
        let spec = spec.unwrap_or_default();
        let mut unenforced = Vec::new();
        let transport_at = at.field("transport");
        let transport = spec.transport.unwrap_or_default();
        let port_at = transport_at.field("peerPort");
        let peer_port = read::number(transport.peer_port, 1..=65535, 179, &port_at, &mut faults);
        if transport.source_interface.is_some() {
            let at = transport_at.field("sourceInterface");
            let note = "the system chooses the source address";
            unenforced.push(Unenforced::new(&at, note));
        }
        let timers = spec.timers.unwrap_or_default();
        let timers = timers.check(&at.field("timers"), &mut faults);
        let graceful_restart = spec
            .graceful_restart
            .and_then(|raw| raw.check(&at.field("gracefulRestart"), &mut faults));
        let hops_at = at.field("ebgpMultihop");
        let multihop = read::number(spec.ebgp_multihop, 1..=255, 1, &hops_at, &mut faults);
        let families = match spec.families {
            Some(raw) if !raw.is_empty() => read::each(
                Some(raw),
                &at.field("families"),
                &mut faults,
                |raw, at, faults| raw.check(at, faults, &mut unenforced),
            ),
            Some(_) | None => Self::families_by_default(),
        };
        faults.finish(meta.map(|meta| Self {
            meta,
            peer_port,
            source_interface: transport.source_interface,
            connect_retry: timers.connect_retry,
            hold: timers.hold,
            keepalive: timers.keepalive,
            auth_secret: spec.auth_secret_ref.filter(|name| !name.is_empty()),
            graceful_restart,
            multihop,
            families,
            conditions: status.conditions.unwrap_or_default(),
            unenforced,
        }))
    }
}

impl RawTimers {
    fn check(self, at: &At<'_>, faults: &mut Faults) -> Timers {
        let mut seconds = |value, range, default: u32, field| {
            read::number(value, range, default, &at.field(field), faults)
        };
        let retry = seconds(
            self.connect_retry_time_seconds,
            1..=i64::from(i32::MAX),
            120,
            "connectRetryTimeSeconds",
        );
        let hold = seconds(self.hold_time_seconds, 3..=65535, 90, "holdTimeSeconds");
        let keepalive = seconds(
            self.keep_alive_time_seconds,
            1..=65535,
            30,
            "keepAliveTimeSeconds",
        );
        if keepalive > hold {
            let reason = format_args!("{keepalive} is larger than holdTimeSeconds, {hold}");
            faults.add(&at.field("keepAliveTimeSeconds"), reason);
        }
        let secs = |secs: u32| Duration::from_secs(secs.into());
        Timers {
            connect_retry: secs(retry),
            hold: secs(hold),
            keepalive: secs(keepalive),
        }
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
        const AFIS: [(&str, Option<Family>); 5] = [
            ("ipv4", Some(Family::V4)),
            ("ipv6", Some(Family::V6)),
            ("l2vpn", None),
            ("ls", None),
            ("opaque", None),
        ];
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
