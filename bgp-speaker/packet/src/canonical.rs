//! Turns received attributes into the canonical form, and says what is wrong with them.

use std::net::Ipv4Addr;

use types::RouterId;

use crate::attribute::{write_attribute, write_with};
use crate::attributes::Origin;
use crate::fault::worsen;
use crate::fields::{Fields, exact};
use crate::update::{Dialect, Peering, UpdateError};
use crate::{
    AsPath, AttributeCode, AttributeFlags, DecisionKey, Fault, FaultReason, NextHop, RawAttribute,
    RawAttributes, Severity,
};

/// Where each attribute is, by type: sorted and without duplicates at no cost.
pub(crate) struct Index<'a> {
    attributes: &'a [u8],
    offsets: [u16; 256],
    present: [bool; 256],
}

/// The outcome of reading a message's attributes, but for those that hold routes.
pub(crate) struct Canonical {
    pub(crate) key: DecisionKey,
    pub(crate) next_hop: Option<Ipv4Addr>,
    pub(crate) fault: Option<Fault>,
}

struct Reader<'a, 'o> {
    dialect: &'o Dialect,
    index: &'o Index<'a>,
    out: &'o mut Vec<u8>,
    read: Canonical,
}

impl<'a> Index<'a> {
    /// Finds the attributes.
    ///
    /// # Errors
    /// RFC 7606 §3 (g): routes twice in one message end the session.
    pub(crate) fn build(attributes: &'a [u8]) -> Result<(Self, Option<Fault>), UpdateError> {
        let mut index = Self {
            attributes,
            offsets: [0; 256],
            present: [false; 256],
        };
        let mut fault = None;
        let mut raw = RawAttributes::new(attributes);
        loop {
            let offset = attributes.len() - raw.rest().len();
            let Some(attribute) = raw.next() else {
                break;
            };
            if index.insert(attribute.code, offset) {
                continue;
            }
            if holds_routes(attribute.code) {
                return Err(UpdateError::MalformedAttributeList);
            }
            let severity = Severity::AttributeDiscard;
            worsen(&mut fault, severity, attribute.code, FaultReason::Duplicate);
        }
        if let Some(&code) = raw.rest().get(1).or(raw.rest().first()) {
            // RFC 7606 §4: the total length still says where the routes start.
            let severity = Severity::TreatAsWithdraw;
            worsen(&mut fault, severity, AttributeCode(code), FaultReason::Cut);
        }
        Ok((index, fault))
    }

    fn insert(&mut self, code: AttributeCode, offset: usize) -> bool {
        let at = usize::from(code.0);
        // The length of all attributes has two octets, so an offset fits.
        let offset = u16::try_from(offset).unwrap_or(u16::MAX);
        match (self.present.get_mut(at), self.offsets.get_mut(at)) {
            (Some(present @ false), Some(place)) => {
                *present = true;
                *place = offset;
                true
            }
            _ => false,
        }
    }

    pub(crate) fn get(&self, code: AttributeCode) -> Option<RawAttribute<'a>> {
        let at = usize::from(code.0);
        self.present.get(at).filter(|&&present| present)?;
        let offset = usize::from(*self.offsets.get(at)?);
        RawAttributes::new(self.attributes.get(offset..)?).next()
    }

    fn iter(&self) -> impl Iterator<Item = RawAttribute<'a>> {
        (0..=u8::MAX).filter_map(|code| self.get(AttributeCode(code)))
    }
}

fn holds_routes(code: AttributeCode) -> bool {
    matches!(
        code,
        AttributeCode::MP_REACH_NLRI | AttributeCode::MP_UNREACH_NLRI
    )
}

/// Appends the canonical form of the attributes to `out`.
///
/// # Errors
/// If an attribute ends the session.
pub(crate) fn canonicalize(
    index: &Index<'_>,
    dialect: &Dialect,
    out: &mut Vec<u8>,
) -> Result<Canonical, UpdateError> {
    let mut reader = Reader {
        dialect,
        index,
        out,
        read: Canonical {
            key: DecisionKey::default(),
            next_hop: None,
            fault: None,
        },
    };
    for attribute in index.iter() {
        reader.attribute(attribute)?;
    }
    Ok(reader.read)
}

impl<'a> Reader<'a, '_> {
    fn attribute(&mut self, raw: RawAttribute<'a>) -> Result<(), UpdateError> {
        match raw.code.category() {
            Some(category) if category == raw.flags.category() => self.known(raw),
            // RFC 7606 §3 (c), and §7.7 for the attributes that are not worth a withdrawal.
            Some(_) if is_dispensable(raw.code) => self.discard(raw, FaultReason::Flags),
            Some(_) => self.withdraw(raw, FaultReason::Flags),
            None if !raw.flags.is_optional() => {
                return Err(UpdateError::UnrecognizedWellKnown(raw.whole.to_vec()));
            }
            // RFC 4271 §5: passed on with a mark that somebody did not know it.
            None if raw.flags.is_transitive() => {
                let flags = AttributeFlags::OPTIONAL_TRANSITIVE.partial();
                write_attribute(self.out, flags, raw.code, raw.value);
            }
            // RFC 4271 §5: ignored and not passed on.
            None => (),
        }
        Ok(())
    }

    fn known(&mut self, raw: RawAttribute<'a>) {
        match raw.code {
            AttributeCode::ORIGIN => self.origin(raw),
            AttributeCode::AS_PATH => self.as_path(raw),
            AttributeCode::NEXT_HOP => self.next_hop(raw),
            AttributeCode::MED => {
                if let Some(med) = self.number(raw) {
                    self.read.key.med = Some(med);
                }
            }
            AttributeCode::LOCAL_PREF if self.is_internal(raw) => {
                if let Some(preference) = self.number(raw) {
                    self.read.key.local_pref = Some(preference);
                }
            }
            AttributeCode::ATOMIC_AGGREGATE if raw.value.is_empty() => self.keep(raw),
            AttributeCode::ATOMIC_AGGREGATE => self.discard(raw, FaultReason::Length),
            AttributeCode::AGGREGATOR => self.aggregator(raw),
            AttributeCode::COMMUNITIES => self.list(raw, 4),
            AttributeCode::EXTENDED_COMMUNITIES => self.list(raw, 8),
            AttributeCode::LARGE_COMMUNITIES => self.list(raw, 12),
            AttributeCode::ORIGINATOR_ID if self.is_internal(raw) => self.originator(raw),
            AttributeCode::CLUSTER_LIST if self.is_internal(raw) => {
                self.list(raw, 4);
                let len = raw.value.len() / 4;
                self.read.key.cluster_list_len = u32::try_from(len).unwrap_or(u32::MAX);
            }
            // Read with AS_PATH and AGGREGATOR, and with the routes; the rest was said above.
            AttributeCode(_) => (),
        }
    }

    /// RFC 7606 §7.5, §7.9, §7.10: from an external peer the attribute is discarded unseen.
    fn is_internal(&mut self, raw: RawAttribute<'_>) -> bool {
        match self.dialect.peering {
            Peering::Internal => true,
            Peering::External => {
                self.discard(raw, FaultReason::Unexpected);
                false
            }
        }
    }

    fn origin(&mut self, raw: RawAttribute<'_>) {
        match Origin::parse(raw.value) {
            Some(origin) => {
                self.read.key.origin = origin;
                self.keep(raw);
            }
            None => self.withdraw(raw, FaultReason::Value),
        }
    }

    fn as_path(&mut self, raw: RawAttribute<'_>) {
        let four_octets = self.dialect.four_octet_as;
        let external = self.dialect.peering == Peering::External;
        let path = AsPath::parse(raw.value, four_octets)
            // RFC 5065 §5: only inside a confederation.
            .filter(|path| !(external && path.has_confederation()));
        let Some(path) = path else {
            return self.withdraw(raw, FaultReason::Value);
        };
        let newer = if four_octets { None } else { self.as4_path() };
        let flags = AttributeFlags::WELL_KNOWN;
        let start = self.out.len();
        write_with(self.out, flags, raw.code, |out| match newer {
            Some(newer) => path.write_merged(&newer, out),
            None => path.write(out),
        });
        let written = self.out.get(start..).unwrap_or(&[]);
        let merged = RawAttributes::new(written)
            .next()
            .and_then(|attribute| AsPath::parse(attribute.value, true))
            .unwrap_or(AsPath::EMPTY);
        self.read.key.as_path_len = u32::try_from(merged.hops()).unwrap_or(u32::MAX);
        self.read.key.neighbor = merged.neighbor();
    }

    /// RFC 6793 §4.2.3, §6: what an old speaker passed on for a new one.
    fn as4_path(&mut self) -> Option<AsPath<'a>> {
        let raw = self.index.get(AttributeCode::AS4_PATH)?;
        // Of two aggregators the old one counts if somebody aggregated who does not know the other:
        // AS4_PATH is as stale then.
        let newer = self.index.get(AttributeCode::AS4_AGGREGATOR);
        let stale = newer
            .and_then(|_| self.index.get(AttributeCode::AGGREGATOR))
            .and_then(|raw| Fields(raw.value).u16())
            .is_some_and(|asn| asn != types::Asn::TRANS.two_octets());
        if stale {
            return None;
        }
        let path = AsPath::parse(raw.value, true);
        if path.is_none() {
            self.discard(raw, FaultReason::Value);
        }
        path
    }

    /// Whether it must be there, and usable, depends on the routes of the message.
    fn next_hop(&mut self, raw: RawAttribute<'_>) {
        self.read.next_hop = exact::<4>(raw.value)
            .map(Ipv4Addr::from)
            .filter(|&addr| NextHop::V4(addr).is_usable());
    }

    fn number(&mut self, raw: RawAttribute<'_>) -> Option<u32> {
        let number = exact(raw.value).map(u32::from_be_bytes);
        match number {
            Some(_) => self.keep(raw),
            None => self.withdraw(raw, FaultReason::Length),
        }
        number
    }

    fn aggregator(&mut self, raw: RawAttribute<'_>) {
        let mut fields = Fields(raw.value);
        let asn = if self.dialect.four_octet_as {
            fields.u32()
        } else {
            fields.u16().map(u32::from)
        };
        let (Some(asn), Some(speaker)) = (asn, exact::<4>(fields.0)) else {
            return self.discard(raw, FaultReason::Length);
        };
        if asn == 0 {
            // RFC 7607 §2.
            return self.discard(raw, FaultReason::Value);
        }
        let newer = self.index.get(AttributeCode::AS4_AGGREGATOR);
        let [a, b, c, d] = asn.to_be_bytes();
        let [e, f, g, h] = speaker;
        let value = newer
            .filter(|_| !self.dialect.four_octet_as && asn == types::Asn::TRANS.get())
            .and_then(|raw| exact::<8>(raw.value))
            .unwrap_or([a, b, c, d, e, f, g, h]);
        let flags = canonical_flags(raw);
        write_attribute(self.out, flags, raw.code, &value);
    }

    /// Values of `width` octets, at least one.
    fn list(&mut self, raw: RawAttribute<'_>, width: usize) {
        if raw.value.is_empty() || !raw.value.len().is_multiple_of(width) {
            self.withdraw(raw, FaultReason::Length);
        } else {
            self.keep(raw);
        }
    }

    fn originator(&mut self, raw: RawAttribute<'_>) {
        match exact(raw.value).map(u32::from_be_bytes) {
            Some(id) => {
                self.read.key.originator = RouterId::try_from(id).ok();
                self.keep(raw);
            }
            None => self.withdraw(raw, FaultReason::Length),
        }
    }

    fn keep(&mut self, raw: RawAttribute<'_>) {
        write_attribute(self.out, canonical_flags(raw), raw.code, raw.value);
    }

    fn discard(&mut self, raw: RawAttribute<'_>, reason: FaultReason) {
        let severity = Severity::AttributeDiscard;
        worsen(&mut self.read.fault, severity, raw.code, reason);
    }

    fn withdraw(&mut self, raw: RawAttribute<'_>, reason: FaultReason) {
        let severity = Severity::TreatAsWithdraw;
        worsen(&mut self.read.fault, severity, raw.code, reason);
    }
}

/// Attributes whose loss does not change where a route leads.
fn is_dispensable(code: AttributeCode) -> bool {
    matches!(
        code,
        AttributeCode::ATOMIC_AGGREGATE
            | AttributeCode::AGGREGATOR
            | AttributeCode::AS4_PATH
            | AttributeCode::AS4_AGGREGATOR
    )
}

/// The flags of the definition; the partial bit stays, as nobody may clear it (RFC 4271 §5).
fn canonical_flags(raw: RawAttribute<'_>) -> AttributeFlags {
    let category = raw.flags.category();
    if category == AttributeFlags::OPTIONAL_TRANSITIVE && raw.flags.is_partial() {
        category.partial()
    } else {
        category
    }
}
