//! OPEN: who a speaker is and what it can do.

use types::{Asn, RouterId};

use crate::capability::{CapabilityWriter, parameter};
use crate::fields::{Fields, fill_u8};
use crate::header::{begin, end};
use crate::{
    AfiSafi, Capabilities, Capability, ErrorCode, ExtendedNextHop, Families, GracefulRestart,
    MessageKind, Notification, OpenSubcode,
};

/// The version of BGP.
pub const VERSION: u8 = 4;

/// The optional parameter that holds capabilities (RFC 5492).
const CAPABILITIES: u8 = 2;
/// In place of length and type: longer lengths follow (RFC 9072).
const EXTENDED: u8 = 255;

/// An OPEN, parsed in place. Its numbers are such as a session may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open<'a> {
    /// The sender's AS: that of its capability if it has one, else of the header's field.
    pub asn: Asn,
    /// Zero, or three and more.
    pub hold_time_secs: u16,
    /// The sender's identifier.
    pub router_id: RouterId,
    parameters: &'a [u8],
    extended: bool,
}

/// What a speaker is and can do: our own OPEN, or the sense of a peer's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The speaker's AS.
    pub asn: Asn,
    /// Zero, or three and more.
    pub hold_time_secs: u16,
    /// The speaker's identifier.
    pub router_id: RouterId,
    /// The unicast families. An OPEN that names none at all means IPv4 (RFC 4760 §8).
    pub families: Families,
    /// AS numbers of four octets. Without it the AS number is cut to AS_TRANS.
    pub four_octet_as: bool,
    /// IPv4 routes with an IPv6 next hop (RFC 8950).
    pub extended_next_hop: bool,
    /// Answers ROUTE-REFRESH.
    pub route_refresh: bool,
    /// Marks the bounds of a refresh.
    pub enhanced_route_refresh: bool,
    /// Messages of up to 65535 octets.
    pub extended_message: bool,
    /// Keeps routes over a restart.
    pub graceful_restart: Option<GracefulRestart>,
}

/// What is wrong with an OPEN (RFC 4271 §6.2). Each ends the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Not version 4.
    #[error("BGP version {0} is not supported")]
    UnsupportedVersion(u8),
    /// AS 0 (RFC 7607).
    #[error("AS 0 is not allowed")]
    BadPeerAs,
    /// Identifier 0 (RFC 6286).
    #[error("BGP identifier 0.0.0.0 is not allowed")]
    BadIdentifier,
    /// A parameter that does not hold capabilities.
    #[error("optional parameter {0} is not supported")]
    UnsupportedOptionalParameter(u8),
    /// One or two seconds.
    #[error("a hold time of {0} s is not allowed")]
    UnacceptableHoldTime(u16),
    /// The lengths do not fit.
    #[error("the optional parameters are malformed")]
    Malformed,
}

impl<'a> Open<'a> {
    /// Reads what follows the header.
    ///
    /// # Errors
    /// The first that RFC 4271 §6.2 lists.
    pub fn parse(body: &'a [u8]) -> Result<Self, OpenError> {
        let mut fields = Fields(body);
        let malformed = OpenError::Malformed;
        let version = fields.u8().ok_or(malformed)?;
        if version != VERSION {
            return Err(OpenError::UnsupportedVersion(version));
        }
        let two_octet_as = fields.u16().ok_or(malformed)?;
        let hold_time_secs = fields.u16().ok_or(malformed)?;
        let identifier = fields.u32().ok_or(malformed)?;
        let (parameters, extended) = optional_parameters(fields).ok_or(malformed)?;
        check_parameters(parameters, extended)?;
        let capabilities = capabilities(parameters, extended);
        let asn = four_octet_as(capabilities).unwrap_or(two_octet_as.into());
        let asn = Asn::try_from(asn).map_err(|_| OpenError::BadPeerAs)?;
        let router_id = RouterId::try_from(identifier).map_err(|_| OpenError::BadIdentifier)?;
        if matches!(hold_time_secs, 1 | 2) {
            return Err(OpenError::UnacceptableHoldTime(hold_time_secs));
        }
        Ok(Self {
            asn,
            hold_time_secs,
            router_id,
            parameters,
            extended,
        })
    }

    /// The capabilities in the order of the message, repeated and unknown ones included.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities<'a> {
        capabilities(self.parameters, self.extended)
    }

    /// What the message offers, put together.
    #[must_use]
    pub fn offer(&self) -> Offer {
        let mut offer = Offer::new(self.asn, self.router_id, self.hold_time_secs);
        offer.four_octet_as = false;
        let mut multiprotocol = false;
        for capability in self.capabilities() {
            multiprotocol |= matches!(capability, Capability::Multiprotocol(_));
            offer.add(capability);
        }
        if !multiprotocol {
            offer.families.insert(types::Family::V4);
        }
        offer
    }
}

impl Offer {
    /// The least that a speaker of today offers: four-octet AS numbers, and no family.
    #[must_use]
    pub fn new(asn: Asn, router_id: RouterId, hold_time_secs: u16) -> Self {
        Self {
            asn,
            hold_time_secs,
            router_id,
            families: Families::NONE,
            four_octet_as: true,
            extended_next_hop: false,
            route_refresh: false,
            enhanced_route_refresh: false,
            extended_message: false,
            graceful_restart: None,
        }
    }

    fn add(&mut self, capability: Capability<'_>) {
        match capability {
            Capability::Multiprotocol(named) => {
                if let Some(family) = named.family() {
                    self.families.insert(family);
                }
            }
            Capability::RouteRefresh => self.route_refresh = true,
            Capability::ExtendedNextHop(value) => {
                self.extended_next_hop |= ExtendedNextHop::entries(value)
                    .any(|entry| entry == ExtendedNextHop::IPV4_BY_IPV6);
            }
            Capability::ExtendedMessage => self.extended_message = true,
            Capability::GracefulRestart(value) => {
                self.graceful_restart = GracefulRestart::parse(value);
            }
            Capability::FourOctetAs(_) => self.four_octet_as = true,
            Capability::EnhancedRouteRefresh => self.enhanced_route_refresh = true,
            // RFC 5492 §3: what is not known is ignored.
            Capability::Other { .. } => (),
        }
    }

    /// Appends the OPEN that makes this offer.
    pub fn write(&self, out: &mut Vec<u8>) {
        let start = begin(out, MessageKind::Open);
        out.push(VERSION);
        out.extend_from_slice(&self.asn.two_octets().to_be_bytes());
        out.extend_from_slice(&self.hold_time_secs.to_be_bytes());
        out.extend_from_slice(&self.router_id.addr().octets());
        // All that can be offered takes less than 80 octets: the short form always does.
        out.extend_from_slice(&[0, CAPABILITIES, 0]);
        let first = out.len();
        self.write_capabilities(&mut CapabilityWriter(out));
        let len = out.len() - first;
        fill_u8(out, first - 1, len);
        fill_u8(out, first - 3, len + 2);
        end(out, start);
    }

    fn write_capabilities(&self, out: &mut CapabilityWriter<'_>) {
        out.families(self.families);
        if self.route_refresh {
            out.route_refresh();
        }
        if self.extended_next_hop {
            out.extended_next_hop();
        }
        if self.extended_message {
            out.extended_message();
        }
        if let Some(restart) = &self.graceful_restart {
            out.graceful_restart(restart);
        }
        if self.four_octet_as {
            out.four_octet_as(self.asn);
        }
        if self.enhanced_route_refresh {
            out.enhanced_route_refresh();
        }
    }
}

/// The optional parameters, and whether their lengths have two octets (RFC 9072 §2).
fn optional_parameters(mut fields: Fields<'_>) -> Option<(&[u8], bool)> {
    let len = fields.u8()?;
    let extended = len != 0 && fields.0.first() == Some(&EXTENDED);
    let parameters = if extended {
        fields.u8()?;
        fields.slice_u16()?
    } else {
        fields.slice(len.into())?
    };
    fields.is_empty().then_some((parameters, extended))
}

/// Every parameter holds capabilities, and those fit into it.
fn check_parameters(parameters: &[u8], extended: bool) -> Result<(), OpenError> {
    let mut parameters = Fields(parameters);
    while !parameters.is_empty() {
        let (kind, value) = parameter(&mut parameters, extended).ok_or(OpenError::Malformed)?;
        if kind != CAPABILITIES {
            return Err(OpenError::UnsupportedOptionalParameter(kind));
        }
        let mut capabilities = Fields(value);
        while !capabilities.is_empty() {
            let _code = capabilities.u8().ok_or(OpenError::Malformed)?;
            let _value = capabilities.slice_u8().ok_or(OpenError::Malformed)?;
        }
    }
    Ok(())
}

fn capabilities(parameters: &[u8], extended: bool) -> Capabilities<'_> {
    Capabilities {
        parameters: Fields(parameters),
        extended,
        current: Fields(&[]),
    }
}

fn four_octet_as(mut capabilities: Capabilities<'_>) -> Option<u32> {
    capabilities.find_map(|capability| match capability {
        Capability::FourOctetAs(asn) => Some(asn),
        Capability::Multiprotocol(AfiSafi { .. })
        | Capability::RouteRefresh
        | Capability::ExtendedNextHop(_)
        | Capability::ExtendedMessage
        | Capability::GracefulRestart(_)
        | Capability::EnhancedRouteRefresh
        | Capability::Other { .. } => None,
    })
}

impl From<OpenError> for Notification<'static> {
    fn from(error: OpenError) -> Self {
        let (subcode, data) = match error {
            OpenError::UnsupportedVersion(_) => (
                OpenSubcode::UnsupportedVersion,
                u16::from(VERSION).to_be_bytes().to_vec(),
            ),
            OpenError::BadPeerAs => (OpenSubcode::BadPeerAs, Vec::new()),
            OpenError::BadIdentifier => (OpenSubcode::BadIdentifier, Vec::new()),
            OpenError::UnsupportedOptionalParameter(_) => {
                (OpenSubcode::UnsupportedOptionalParameter, Vec::new())
            }
            OpenError::UnacceptableHoldTime(_) => (OpenSubcode::UnacceptableHoldTime, Vec::new()),
            OpenError::Malformed => (OpenSubcode::Unspecific, Vec::new()),
        };
        Notification::new(ErrorCode::Open(subcode), data)
    }
}
