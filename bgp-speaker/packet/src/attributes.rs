//! A set of attributes in canonical form, and what the decision process asks of it.

use std::fmt;
use std::net::Ipv4Addr;

use types::{Asn, RouterId};

use crate::as_path::PathWriter;
use crate::attribute::{write_attribute, write_with};
use crate::fields::{Fields, exact};
use crate::{AsPath, AttributeCode, AttributeFlags, RawAttribute, RawAttributes, SegmentKind};

/// How the first speaker on the path learned a route; the better one is less.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// Inside its AS.
    #[default]
    Igp,
    /// From EGP.
    Egp,
    /// Some other way.
    Incomplete,
}

/// What the decision process compares (RFC 4271 §9.1, RFC 4456 §9), decoded once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct DecisionKey {
    /// LOCAL_PREF; never from an external peer.
    pub local_pref: Option<u32>,
    /// The hops of the path.
    pub as_path_len: u32,
    /// ORIGIN.
    pub origin: Origin,
    /// MULTI_EXIT_DISC.
    pub med: Option<u32>,
    /// The AS the route was learned from, if the path starts with a sequence.
    pub neighbor: Option<Asn>,
    /// Who brought the route into the AS, if a reflector says so.
    pub originator: Option<RouterId>,
    /// How many reflectors it has passed.
    pub cluster_list_len: u32,
}

/// Attributes in canonical form: sorted by type, the shortest lengths, AS numbers of four octets.
///
/// Equal routes have equal bytes, whoever sent them. The next hop and the prefixes are not in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Attributes<'a>(&'a [u8]);

/// One attribute of a canonical set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attribute<'a> {
    /// ORIGIN.
    Origin(Origin),
    /// AS_PATH.
    AsPath(AsPath<'a>),
    /// MULTI_EXIT_DISC.
    Med(u32),
    /// LOCAL_PREF.
    LocalPref(u32),
    /// ATOMIC_AGGREGATE.
    AtomicAggregate,
    /// AGGREGATOR.
    Aggregator {
        /// Its AS.
        asn: u32,
        /// Its identifier.
        speaker: Ipv4Addr,
    },
    /// COMMUNITIES: four octets each.
    Communities(&'a [u8]),
    /// ORIGINATOR_ID.
    OriginatorId(Ipv4Addr),
    /// CLUSTER_LIST: four octets each.
    ClusterList(&'a [u8]),
    /// EXTENDED_COMMUNITIES: eight octets each.
    ExtendedCommunities(&'a [u8]),
    /// LARGE_COMMUNITIES: twelve octets each.
    LargeCommunities(&'a [u8]),
    /// Any other.
    Other(RawAttribute<'a>),
}

/// The attributes of a route that starts here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PathAttributes {
    /// ORIGIN.
    pub origin: Origin,
    /// AS_PATH, as one sequence: our own AS for external peers, empty for internal ones.
    pub as_path: Vec<Asn>,
    /// MULTI_EXIT_DISC.
    pub med: Option<u32>,
    /// LOCAL_PREF, for internal peers.
    pub local_pref: Option<u32>,
    /// COMMUNITIES; written sorted, each once.
    pub communities: Vec<u32>,
    /// EXTENDED_COMMUNITIES; written sorted, each once.
    pub extended_communities: Vec<[u8; 8]>,
    /// LARGE_COMMUNITIES; written sorted, each once.
    pub large_communities: Vec<[u32; 3]>,
}

impl Origin {
    const fn code(self) -> u8 {
        match self {
            Self::Igp => 0,
            Self::Egp => 1,
            Self::Incomplete => 2,
        }
    }

    pub(crate) const fn parse(value: &[u8]) -> Option<Self> {
        match value {
            [0] => Some(Self::Igp),
            [1] => Some(Self::Egp),
            [2] => Some(Self::Incomplete),
            _ => None,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Igp => "i",
            Self::Egp => "e",
            Self::Incomplete => "?",
        })
    }
}

impl<'a> Attributes<'a> {
    /// Takes up bytes that [`Update::read`](crate::Update::read) or [`PathAttributes::write`] gave.
    #[must_use]
    pub const fn from_canonical(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        self.0
    }

    /// The attributes by ascending type.
    pub fn iter(&self) -> impl Iterator<Item = Attribute<'a>> + use<'a> {
        self.raw().map(Attribute::decode)
    }

    /// The attributes by ascending type, not decoded.
    #[must_use]
    pub const fn raw(&self) -> RawAttributes<'a> {
        RawAttributes::new(self.0)
    }

    /// The value of one attribute.
    #[must_use]
    pub fn value(&self, code: AttributeCode) -> Option<&'a [u8]> {
        self.raw()
            .find(|attribute| attribute.code == code)
            .map(|attribute| attribute.value)
    }

    /// The path; empty if there is none.
    #[must_use]
    pub fn as_path(&self) -> AsPath<'a> {
        self.value(AttributeCode::AS_PATH)
            .and_then(|value| AsPath::parse(value, true))
            .unwrap_or(AsPath::EMPTY)
    }

    /// The communities.
    pub fn communities(&self) -> impl Iterator<Item = u32> + use<'a> {
        communities(self.value(AttributeCode::COMMUNITIES).unwrap_or(&[]))
    }

    /// The large communities.
    pub fn large_communities(&self) -> impl Iterator<Item = [u32; 3]> + use<'a> {
        large_communities(self.value(AttributeCode::LARGE_COMMUNITIES).unwrap_or(&[]))
    }
}

fn communities(value: &[u8]) -> impl Iterator<Item = u32> {
    let mut fields = Fields(value);
    std::iter::from_fn(move || fields.u32())
}

fn large_communities(value: &[u8]) -> impl Iterator<Item = [u32; 3]> {
    let mut fields = Fields(value);
    std::iter::from_fn(move || Some([fields.u32()?, fields.u32()?, fields.u32()?]))
}

impl<'a> Attribute<'a> {
    /// What a raw attribute with four-octet AS numbers means; one that is malformed stays raw.
    #[must_use]
    pub fn decode(raw: RawAttribute<'a>) -> Self {
        Self::known(raw).unwrap_or(Self::Other(raw))
    }

    fn known(raw: RawAttribute<'a>) -> Option<Self> {
        let value = raw.value;
        match raw.code {
            AttributeCode::ORIGIN => Origin::parse(value).map(Self::Origin),
            AttributeCode::AS_PATH => AsPath::parse(value, true).map(Self::AsPath),
            AttributeCode::MED => exact(value).map(u32::from_be_bytes).map(Self::Med),
            AttributeCode::LOCAL_PREF => exact(value).map(u32::from_be_bytes).map(Self::LocalPref),
            AttributeCode::ATOMIC_AGGREGATE => value.is_empty().then_some(Self::AtomicAggregate),
            AttributeCode::AGGREGATOR => {
                let mut fields = Fields(value);
                let asn = fields.u32()?;
                let speaker = Ipv4Addr::from(exact::<4>(fields.0)?);
                Some(Self::Aggregator { asn, speaker })
            }
            AttributeCode::COMMUNITIES => Some(Self::Communities(value)),
            AttributeCode::ORIGINATOR_ID => exact::<4>(value)
                .map(Ipv4Addr::from)
                .map(Self::OriginatorId),
            AttributeCode::CLUSTER_LIST => Some(Self::ClusterList(value)),
            AttributeCode::EXTENDED_COMMUNITIES => Some(Self::ExtendedCommunities(value)),
            AttributeCode::LARGE_COMMUNITIES => Some(Self::LargeCommunities(value)),
            AttributeCode(_) => None,
        }
    }
}

/// As `bgp routes` prints it: `{AsPath: 65001 65000}`.
impl fmt::Display for Attribute<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Origin(origin) => write!(f, "{{Origin: {origin}}}"),
            Self::AsPath(path) => write!(f, "{{AsPath: {path}}}"),
            Self::Med(med) => write!(f, "{{Med: {med}}}"),
            Self::LocalPref(preference) => write!(f, "{{LocalPref: {preference}}}"),
            Self::AtomicAggregate => f.write_str("{AtomicAggregate}"),
            Self::Aggregator { asn, speaker } => {
                write!(f, "{{Aggregate: {{AS: {asn}, Address: {speaker}}}}}")
            }
            Self::Communities(value) => {
                let text = communities(value)
                    .map(|community| format!("{}:{}", community >> 16, community & 0xffff));
                list(f, "Communities", text)
            }
            Self::OriginatorId(id) => write!(f, "{{Originator: {id}}}"),
            Self::ClusterList(value) => {
                let text = communities(value).map(|id| Ipv4Addr::from(id).to_string());
                list(f, "ClusterList", text)
            }
            Self::ExtendedCommunities(value) => {
                let text = value.chunks(8).map(hex);
                list(f, "Extcomms", text)
            }
            Self::LargeCommunities(value) => {
                let text = large_communities(value).map(|[a, b, c]| format!("{a}:{b}:{c}"));
                list(f, "LargeCommunity", text)
            }
            Self::Other(raw) => write!(f, "{{{}: {}}}", raw.code, hex(raw.value)),
        }
    }
}

fn list(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    values: impl Iterator<Item = String>,
) -> fmt::Result {
    write!(f, "{{{name}: {}}}", values.collect::<Vec<_>>().join(", "))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|octet| format!("{octet:02x}")).collect()
}

impl PathAttributes {
    /// Appends the canonical form.
    pub fn write(&self, out: &mut Vec<u8>) -> DecisionKey {
        let known = AttributeFlags::WELL_KNOWN;
        let optional = AttributeFlags::OPTIONAL;
        let transitive = AttributeFlags::OPTIONAL_TRANSITIVE;
        write_attribute(out, known, AttributeCode::ORIGIN, &[self.origin.code()]);
        write_with(out, known, AttributeCode::AS_PATH, |out| {
            let mut path = PathWriter::new(out, true);
            self.as_path
                .iter()
                .for_each(|asn| path.push(SegmentKind::Sequence, asn.get()));
        });
        if let Some(med) = self.med {
            write_attribute(out, optional, AttributeCode::MED, &med.to_be_bytes());
        }
        if let Some(preference) = self.local_pref {
            let value = preference.to_be_bytes();
            write_attribute(out, known, AttributeCode::LOCAL_PREF, &value);
        }
        let communities = sorted(&self.communities, |value| value.to_be_bytes().to_vec());
        let extended = sorted(&self.extended_communities, |value| value.to_vec());
        let large = sorted(&self.large_communities, |value| {
            value.iter().flat_map(|part| part.to_be_bytes()).collect()
        });
        for (code, value) in [
            (AttributeCode::COMMUNITIES, communities),
            (AttributeCode::EXTENDED_COMMUNITIES, extended),
            (AttributeCode::LARGE_COMMUNITIES, large),
        ] {
            if !value.is_empty() {
                write_attribute(out, transitive, code, &value);
            }
        }
        self.key()
    }

    fn key(&self) -> DecisionKey {
        DecisionKey {
            local_pref: self.local_pref,
            as_path_len: u32::try_from(self.as_path.len()).unwrap_or(u32::MAX),
            origin: self.origin,
            med: self.med,
            neighbor: self.as_path.first().copied(),
            originator: None,
            cluster_list_len: 0,
        }
    }
}

/// The values in order and each once, one after the other.
fn sorted<T: Ord + Clone>(values: &[T], octets: impl Fn(&T) -> Vec<u8>) -> Vec<u8> {
    let mut values = values.to_vec();
    values.sort_unstable();
    values.dedup();
    values.iter().flat_map(octets).collect()
}
