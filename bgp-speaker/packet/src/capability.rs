//! What a speaker can do, as its OPEN says (RFC 5492).

use types::{Asn, Family};

use crate::fields::{Fields, exact, fill_u8};
use crate::{AfiSafi, Families};

const MULTIPROTOCOL: u8 = 1;
const ROUTE_REFRESH: u8 = 2;
const EXTENDED_NEXT_HOP: u8 = 5;
const EXTENDED_MESSAGE: u8 = 6;
const GRACEFUL_RESTART: u8 = 64;
const FOUR_OCTET_AS: u8 = 65;
const ENHANCED_ROUTE_REFRESH: u8 = 70;

/// RFC 4724 §3: the forwarding state was kept.
const FORWARDING_KEPT: u8 = 0x80;
/// RFC 4724 §3: the speaker has restarted.
const RESTARTED: u16 = 0x8000;
/// RFC 8538 §2: a NOTIFICATION does not end graceful restart.
const NOTIFICATION: u16 = 0x4000;
/// The rest of the field: the restart time.
const RESTART_TIME: u16 = 0x0fff;

/// One capability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability<'a> {
    /// Routes of a family (RFC 4760).
    Multiprotocol(AfiSafi),
    /// Answers ROUTE-REFRESH (RFC 2918).
    RouteRefresh,
    /// Next hops of another family, a list (RFC 8950).
    ExtendedNextHop(&'a [u8]),
    /// Messages of up to 65535 octets (RFC 8654).
    ExtendedMessage,
    /// Keeps routes over a restart (RFC 4724).
    GracefulRestart(&'a [u8]),
    /// AS numbers of four octets, and the speaker's own (RFC 6793).
    FourOctetAs(u32),
    /// Marks the bounds of a refresh (RFC 7313).
    EnhancedRouteRefresh,
    /// Not known here, or of a length that it must not have.
    Other {
        /// The capability's number.
        code: u8,
        /// Its value.
        value: &'a [u8],
    },
}

/// A family whose next hops may be of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtendedNextHop {
    /// The routes' family.
    pub family: AfiSafi,
    /// The next hop's address family.
    pub next_hop_afi: u16,
}

/// A family in a graceful restart capability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GracefulFamily {
    /// The family.
    pub family: Family,
    /// Whether its forwarding state outlived the restart.
    pub forwarding_kept: bool,
}

/// How a speaker restarts (RFC 4724 §3); of its families those that are known here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GracefulRestart {
    /// The speaker has restarted, and waits for no other's End-of-RIB.
    pub restarted: bool,
    /// A NOTIFICATION keeps routes too (RFC 8538).
    pub notification: bool,
    /// How long the peer should wait for a new session, in seconds: at most 4095.
    pub restart_time_secs: u16,
    /// The families that are kept.
    pub families: Vec<GracefulFamily>,
}

/// The capabilities of an OPEN, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities<'a> {
    pub(crate) parameters: Fields<'a>,
    pub(crate) extended: bool,
    pub(crate) current: Fields<'a>,
}

impl PartialEq for Fields<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Fields<'_> {}

impl<'a> Iterator for Capabilities<'a> {
    type Item = Capability<'a>;

    fn next(&mut self) -> Option<Capability<'a>> {
        while self.current.is_empty() {
            let (_, value) = parameter(&mut self.parameters, self.extended)?;
            self.current = Fields(value);
        }
        let code = self.current.u8()?;
        let value = self.current.slice_u8()?;
        Some(Capability::parse(code, value))
    }
}

/// The next optional parameter's type and value.
pub(crate) fn parameter<'a>(fields: &mut Fields<'a>, extended: bool) -> Option<(u8, &'a [u8])> {
    let kind = fields.u8()?;
    let value = if extended {
        fields.slice_u16()?
    } else {
        fields.slice_u8()?
    };
    Some((kind, value))
}

impl<'a> Capability<'a> {
    fn parse(code: u8, value: &'a [u8]) -> Self {
        Self::known(code, value).unwrap_or(Self::Other { code, value })
    }

    fn known(code: u8, value: &'a [u8]) -> Option<Self> {
        match code {
            MULTIPROTOCOL => {
                let [high, low, _reserved, safi] = exact(value)?;
                Some(Self::Multiprotocol(AfiSafi::from_octets([high, low, safi])))
            }
            ROUTE_REFRESH if value.is_empty() => Some(Self::RouteRefresh),
            EXTENDED_NEXT_HOP if value.len().is_multiple_of(6) => {
                Some(Self::ExtendedNextHop(value))
            }
            EXTENDED_MESSAGE if value.is_empty() => Some(Self::ExtendedMessage),
            GRACEFUL_RESTART if value.len() % 4 == 2 => Some(Self::GracefulRestart(value)),
            FOUR_OCTET_AS => exact(value).map(u32::from_be_bytes).map(Self::FourOctetAs),
            ENHANCED_ROUTE_REFRESH if value.is_empty() => Some(Self::EnhancedRouteRefresh),
            _ => None,
        }
    }
}

impl ExtendedNextHop {
    /// IPv4 routes by an IPv6 next hop: the one that is used here.
    pub const IPV4_BY_IPV6: Self = Self {
        family: AfiSafi::IPV4_UNICAST,
        next_hop_afi: 2,
    };

    /// The entries of a capability's value.
    pub fn entries(value: &[u8]) -> impl Iterator<Item = Self> {
        value.chunks_exact(6).filter_map(|entry| {
            let [high, low, _, safi, next_high, next_low] = exact(entry)?;
            Some(Self {
                family: AfiSafi::from_octets([high, low, safi]),
                next_hop_afi: u16::from_be_bytes([next_high, next_low]),
            })
        })
    }
}

impl GracefulRestart {
    /// Reads a capability's value; `None` if it is cut.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let mut fields = Fields(value);
        let flags = fields.u16()?;
        let mut families = Vec::new();
        while let Some([high, low, safi, flags]) = fields.take() {
            if let Some(family) = AfiSafi::from_octets([high, low, safi]).family() {
                families.push(GracefulFamily {
                    family,
                    forwarding_kept: flags & FORWARDING_KEPT != 0,
                });
            }
        }
        Some(Self {
            restarted: flags & RESTARTED != 0,
            notification: flags & NOTIFICATION != 0,
            restart_time_secs: flags & RESTART_TIME,
            families,
        })
    }

    /// The entry of a family.
    #[must_use]
    pub fn family(&self, family: Family) -> Option<GracefulFamily> {
        self.families
            .iter()
            .copied()
            .find(|entry| entry.family == family)
    }

    fn write(&self, out: &mut Vec<u8>) {
        let mut flags = self.restart_time_secs.min(RESTART_TIME);
        if self.restarted {
            flags |= RESTARTED;
        }
        if self.notification {
            flags |= NOTIFICATION;
        }
        out.extend_from_slice(&flags.to_be_bytes());
        // One entry a family: there are only two.
        for entry in Family::BOTH
            .iter()
            .filter_map(|&family| self.family(family))
        {
            out.extend_from_slice(&AfiSafi::from(entry.family).octets());
            out.push(if entry.forwarding_kept {
                FORWARDING_KEPT
            } else {
                0
            });
        }
    }
}

/// Appends capabilities one after the other.
pub(crate) struct CapabilityWriter<'o>(pub(crate) &'o mut Vec<u8>);

impl CapabilityWriter<'_> {
    pub(crate) fn families(&mut self, families: Families) {
        for family in families.iter() {
            let [high, low, safi] = AfiSafi::from(family).octets();
            self.put(MULTIPROTOCOL, |out| {
                out.extend_from_slice(&[high, low, 0, safi]);
            });
        }
    }

    pub(crate) fn route_refresh(&mut self) {
        self.put(ROUTE_REFRESH, |_| ());
    }

    pub(crate) fn enhanced_route_refresh(&mut self) {
        self.put(ENHANCED_ROUTE_REFRESH, |_| ());
    }

    pub(crate) fn extended_message(&mut self) {
        self.put(EXTENDED_MESSAGE, |_| ());
    }

    pub(crate) fn extended_next_hop(&mut self) {
        // IPv4 unicast by IPv6.
        self.put(EXTENDED_NEXT_HOP, |out| {
            out.extend_from_slice(&[0, 1, 0, 1, 0, 2]);
        });
    }

    pub(crate) fn graceful_restart(&mut self, restart: &GracefulRestart) {
        self.put(GRACEFUL_RESTART, |out| restart.write(out));
    }

    pub(crate) fn four_octet_as(&mut self, asn: Asn) {
        self.put(FOUR_OCTET_AS, |out| {
            out.extend_from_slice(&asn.get().to_be_bytes());
        });
    }

    fn put(&mut self, code: u8, value: impl FnOnce(&mut Vec<u8>)) {
        self.0.extend_from_slice(&[code, 0]);
        let start = self.0.len();
        value(self.0);
        let len = self.0.len() - start;
        fill_u8(self.0, start - 1, len);
    }
}
