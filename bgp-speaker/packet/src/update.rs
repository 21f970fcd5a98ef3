//! UPDATE: routes that come and go, read in place (RFC 4271 §4.3, RFC 4760, RFC 7606).

use types::Family;

use crate::canonical::{Canonical, Index, canonicalize};
use crate::fault::worsen;
use crate::fields::Fields;
use crate::mp::{Reach, Unreach};
use crate::{
    AttributeCode, DecisionKey, ErrorCode, Families, Fault, FaultReason, MessageLimit, NextHop,
    Nlri, NlriError, Notification, RawAttributes, Severity, UpdateSubcode,
};

/// An UPDATE in its three parts, which have not been looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Update<'a> {
    withdrawn: &'a [u8],
    attributes: &'a [u8],
    nlri: &'a [u8],
}

/// What the OPENs of a session agreed on, as far as UPDATEs depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// Whether the peer is in our AS.
    pub peering: Peering,
    /// AS numbers have four octets.
    pub four_octet_as: bool,
    /// The families both sides offered.
    pub families: Families,
    /// IPv4 routes may have IPv6 next hops.
    pub extended_next_hop: bool,
    /// How long a message may be.
    pub limit: MessageLimit,
}

/// Whether a peer is in our AS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Peering {
    /// In the same AS.
    Internal,
    /// In another.
    External,
}

/// What an UPDATE says, after RFC 7606. Withdrawals come before announcements.
#[derive(Clone, Copy, Debug)]
pub struct Reading<'a> {
    /// Prefixes that are gone, those treated as withdrawn included.
    pub withdrawn: [Option<Nlri<'a>>; 4],
    /// Prefixes that are there, with the attributes in canonical form and `key`.
    pub announced: [Option<Announced<'a>>; 2],
    /// The attributes as the decision process sees them.
    pub key: DecisionKey,
    /// The peer has sent all routes of this family.
    pub end_of_rib: Option<Family>,
    /// The worst of what was wrong.
    pub fault: Option<Fault>,
}

/// Prefixes that share attributes and a next hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announced<'a> {
    /// Where they lead.
    pub next_hop: NextHop,
    /// The prefixes.
    pub nlri: Nlri<'a>,
}

/// What is so wrong with an UPDATE that the session must end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpdateError {
    /// The parts do not fit, routes came twice, or it is not certain that all were found.
    #[error("the attribute list is malformed")]
    MalformedAttributeList,
    /// An attribute that every speaker must know, and nobody does; the whole of it.
    #[error("a well-known attribute is not recognized")]
    UnrecognizedWellKnown(Vec<u8>),
    /// MP_REACH_NLRI or MP_UNREACH_NLRI in which the routes cannot be found; the whole of it.
    #[error("a multiprotocol attribute is malformed")]
    OptionalAttribute(Vec<u8>),
    /// The prefixes cannot be read.
    #[error("reading the prefixes")]
    InvalidNetworkField(#[from] NlriError),
}

impl<'a> Update<'a> {
    /// Reads what follows the header.
    ///
    /// # Errors
    /// RFC 7606 §3 (a): if the lengths of the parts do not fit.
    pub fn parse(body: &'a [u8]) -> Result<Self, UpdateError> {
        let mut fields = Fields(body);
        let malformed = UpdateError::MalformedAttributeList;
        let Some(withdrawn) = fields.slice_u16() else {
            return Err(malformed);
        };
        let Some(attributes) = fields.slice_u16() else {
            return Err(malformed);
        };
        Ok(Self {
            withdrawn,
            attributes,
            nlri: fields.0,
        })
    }

    /// The IPv4 prefixes of the withdrawn routes field.
    ///
    /// # Errors
    /// If they are malformed.
    pub fn withdrawn(&self) -> Result<Nlri<'a>, NlriError> {
        Nlri::parse(Family::V4, self.withdrawn)
    }

    /// The attributes as they came.
    #[must_use]
    pub const fn attributes(&self) -> RawAttributes<'a> {
        RawAttributes::new(self.attributes)
    }

    /// The IPv4 prefixes at the end.
    ///
    /// # Errors
    /// If they are malformed.
    pub fn nlri(&self) -> Result<Nlri<'a>, NlriError> {
        Nlri::parse(Family::V4, self.nlri)
    }

    /// Reads all of it. `canonical` is cleared and then holds the attributes' canonical form.
    ///
    /// # Errors
    /// If the session must end.
    pub fn read(
        &self,
        dialect: &Dialect,
        canonical: &mut Vec<u8>,
    ) -> Result<Reading<'a>, UpdateError> {
        canonical.clear();
        let withdrawn = self.withdrawn()?;
        let nlri = self.nlri()?;
        let (index, cut) = Index::build(self.attributes)?;
        let mut read = canonicalize(&index, dialect, canonical)?;
        if let Some(fault) = cut {
            worsen(&mut read.fault, fault.severity, fault.code, fault.reason);
        }
        let routes = Routes {
            withdrawn,
            nlri,
            reach: reach(&index, &mut read)?,
            unreach: unreach(&index, &mut read)?,
        };
        routes.check(&index, dialect, &mut read)?;
        Ok(routes.sort(dialect, &read, self))
    }

    /// The only attribute is MP_UNREACH_NLRI, and there is nothing in it.
    fn is_only_unreach(&self) -> bool {
        let mut attributes = self.attributes();
        let first = attributes.next();
        first.is_some_and(|raw| raw.code == AttributeCode::MP_UNREACH_NLRI)
            && attributes.rest().is_empty()
    }
}

/// The routes of a message wherever they were.
struct Routes<'a> {
    withdrawn: Nlri<'a>,
    nlri: Nlri<'a>,
    reach: Option<Reach<'a>>,
    unreach: Option<Unreach<'a>>,
}

fn reach<'a>(index: &Index<'a>, read: &mut Canonical) -> Result<Option<Reach<'a>>, UpdateError> {
    let Some(raw) = index.get(AttributeCode::MP_REACH_NLRI) else {
        return Ok(None);
    };
    // RFC 7606 §7.11: the next hop's length says where the routes are.
    let reach = Reach::parse(raw.value)
        .ok_or_else(|| UpdateError::OptionalAttribute(raw.whole.to_vec()))?;
    match reach {
        Reach::Known { next_hop, .. } if !next_hop.is_usable() => worsen(
            &mut read.fault,
            Severity::TreatAsWithdraw,
            raw.code,
            FaultReason::Value,
        ),
        Reach::Known { .. } | Reach::Foreign => (),
    }
    Ok(Some(reach))
}

fn unreach<'a>(
    index: &Index<'a>,
    read: &mut Canonical,
) -> Result<Option<Unreach<'a>>, UpdateError> {
    let Some(raw) = index.get(AttributeCode::MP_UNREACH_NLRI) else {
        return Ok(None);
    };
    let unreach = Unreach::parse(raw.value)
        .ok_or_else(|| UpdateError::OptionalAttribute(raw.whole.to_vec()))?;
    if unreach == Unreach::Foreign {
        not_negotiated(read, raw.code);
    }
    Ok(Some(unreach))
}

fn not_negotiated(read: &mut Canonical, code: AttributeCode) {
    let reason = FaultReason::FamilyNotNegotiated;
    worsen(&mut read.fault, Severity::AttributeDiscard, code, reason);
}

impl<'a> Routes<'a> {
    /// The routes that MP_REACH_NLRI brings, if their family is known.
    fn reachable(&self) -> Option<(NextHop, Nlri<'a>)> {
        match self.reach {
            Some(Reach::Known { next_hop, nlri }) => Some((next_hop, nlri)),
            Some(Reach::Foreign) | None => None,
        }
    }

    /// Faults of the message as a whole.
    fn check(
        &self,
        index: &Index<'_>,
        dialect: &Dialect,
        read: &mut Canonical,
    ) -> Result<(), UpdateError> {
        let reach = self.reachable();
        self.check_mandatory(index, dialect, read);
        if self.reach == Some(Reach::Foreign) {
            not_negotiated(read, AttributeCode::MP_REACH_NLRI);
        }
        // Departs from RFC 7606 §7.11: such a next hop hides nothing, so its routes alone go.
        let unexpected = matches!(reach, Some((NextHop::V6 { .. }, nlri))
            if nlri.family() == Family::V4 && !dialect.extended_next_hop);
        if unexpected {
            let code = AttributeCode::MP_REACH_NLRI;
            let severity = Severity::TreatAsWithdraw;
            worsen(&mut read.fault, severity, code, FaultReason::Unexpected);
        }
        let withdraws = is_withdrawal(read.fault);
        let found = !self.nlri.is_empty() || reach.is_some_and(|(_, nlri)| !nlri.is_empty());
        if withdraws && !found {
            // RFC 7606 §5.2: it is not certain that all routes were found.
            return Err(UpdateError::MalformedAttributeList);
        }
        Ok(())
    }

    /// RFC 7606 §3 (d): what every announcement needs.
    fn check_mandatory(&self, index: &Index<'_>, dialect: &Dialect, read: &mut Canonical) {
        let classic = !self.nlri.is_empty();
        if !classic && self.reach.is_none() {
            return;
        }
        let internal = dialect.peering == Peering::Internal;
        let missing = [
            (AttributeCode::ORIGIN, true),
            (AttributeCode::AS_PATH, true),
            (AttributeCode::NEXT_HOP, classic),
            (AttributeCode::LOCAL_PREF, internal),
        ]
        .into_iter()
        .find(|&(code, required)| required && index.get(code).is_none());
        let severity = Severity::TreatAsWithdraw;
        if let Some((code, _)) = missing {
            worsen(&mut read.fault, severity, code, FaultReason::Missing);
        } else if classic && read.next_hop.is_none() {
            let code = AttributeCode::NEXT_HOP;
            worsen(&mut read.fault, severity, code, FaultReason::Value);
        }
    }

    fn sort(&self, dialect: &Dialect, read: &Canonical, update: &Update<'_>) -> Reading<'a> {
        let mut fault = read.fault;
        let mut agreed = |nlri: Nlri<'a>, code| {
            if nlri.is_empty() {
                return None;
            }
            if dialect.families.contains(nlri.family()) {
                return Some(nlri);
            }
            let reason = FaultReason::FamilyNotNegotiated;
            worsen(&mut fault, Severity::AttributeDiscard, code, reason);
            None
        };
        let unreach = match self.unreach {
            Some(Unreach::Known(nlri)) => Some(nlri),
            Some(Unreach::Foreign) | None => None,
        };
        let gone = [
            agreed(self.withdrawn, AttributeCode::NEXT_HOP),
            unreach.and_then(|nlri| agreed(nlri, AttributeCode::MP_UNREACH_NLRI)),
        ];
        let classic = agreed(self.nlri, AttributeCode::NEXT_HOP);
        let multi = self.reachable().and_then(|(next_hop, nlri)| {
            agreed(nlri, AttributeCode::MP_REACH_NLRI).map(|nlri| Announced { next_hop, nlri })
        });
        let [first, second] = gone;
        let (third, fourth, announced) = if is_withdrawal(read.fault) {
            (classic, multi.map(|routes| routes.nlri), [None, None])
        } else {
            let classic = classic.zip(read.next_hop).map(|(nlri, addr)| Announced {
                next_hop: NextHop::V4(addr),
                nlri,
            });
            (None, None, [classic, multi])
        };
        Reading {
            withdrawn: [first, second, third, fourth],
            announced,
            key: read.key,
            end_of_rib: self.end_of_rib(update),
            fault,
        }
    }

    /// RFC 4724 §2: no route at all, in either of two forms.
    fn end_of_rib(&self, update: &Update<'_>) -> Option<Family> {
        if !self.withdrawn.is_empty() || !self.nlri.is_empty() {
            return None;
        }
        if update.attributes.is_empty() {
            return Some(Family::V4);
        }
        match self.unreach {
            Some(Unreach::Known(nlri)) if nlri.is_empty() && update.is_only_unreach() => {
                Some(nlri.family())
            }
            Some(_) | None => None,
        }
    }
}

fn is_withdrawal(fault: Option<Fault>) -> bool {
    fault.is_some_and(|fault| fault.severity == Severity::TreatAsWithdraw)
}

impl<'a> Reading<'a> {
    /// All prefixes that are gone.
    pub fn gone(&self) -> impl Iterator<Item = types::Prefix> + use<'a> {
        self.withdrawn.into_iter().flatten().flatten()
    }
}

impl From<UpdateError> for Notification<'static> {
    fn from(error: UpdateError) -> Self {
        let (subcode, data) = match error {
            UpdateError::MalformedAttributeList => {
                (UpdateSubcode::MalformedAttributeList, Vec::new())
            }
            UpdateError::UnrecognizedWellKnown(data) => {
                (UpdateSubcode::UnrecognizedWellKnown, data)
            }
            UpdateError::OptionalAttribute(data) => (UpdateSubcode::OptionalAttribute, data),
            UpdateError::InvalidNetworkField(_) => (UpdateSubcode::InvalidNetworkField, Vec::new()),
        };
        Notification::new(ErrorCode::Update(subcode), data)
    }
}
