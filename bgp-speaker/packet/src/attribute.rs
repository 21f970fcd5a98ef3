//! Path attributes as they are on the wire: flags, type, length and value.

use std::fmt;

use crate::fields::Fields;

/// What sort of attribute this is and how its length is written (RFC 4271 §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AttributeFlags(pub u8);

/// An attribute's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttributeCode(pub u8);

/// An attribute whose value has not been looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawAttribute<'a> {
    /// Its flags.
    pub flags: AttributeFlags,
    /// Its type.
    pub code: AttributeCode,
    /// Its value.
    pub value: &'a [u8],
    /// All of it: flags, type, length, value.
    pub whole: &'a [u8],
}

/// Iterates attributes, and stops before one that is cut.
#[derive(Clone, Copy, Debug)]
pub struct RawAttributes<'a>(Fields<'a>);

impl AttributeFlags {
    /// Well-known and mandatory or discretionary: every speaker knows it.
    pub const WELL_KNOWN: Self = Self(0x40);
    /// Optional; who does not know it leaves it out.
    pub const OPTIONAL: Self = Self(0x80);
    /// Optional; who does not know it passes it on.
    pub const OPTIONAL_TRANSITIVE: Self = Self(0xc0);

    const PARTIAL: u8 = 0x20;
    const EXTENDED: u8 = 0x10;

    /// Not every speaker has to know the attribute.
    #[must_use]
    pub const fn is_optional(self) -> bool {
        self.0 & Self::OPTIONAL.0 != 0
    }

    /// The attribute goes on to other speakers.
    #[must_use]
    pub const fn is_transitive(self) -> bool {
        self.0 & Self::WELL_KNOWN.0 != 0
    }

    /// Somebody on the way did not know the attribute.
    #[must_use]
    pub const fn is_partial(self) -> bool {
        self.0 & Self::PARTIAL != 0
    }

    /// The length has two octets.
    #[must_use]
    pub const fn is_extended(self) -> bool {
        self.0 & Self::EXTENDED != 0
    }

    /// The two bits that an attribute's definition fixes.
    pub(crate) const fn category(self) -> Self {
        Self(self.0 & Self::OPTIONAL_TRANSITIVE.0)
    }

    /// The same, marked as partial.
    pub(crate) const fn partial(self) -> Self {
        Self(self.0 | Self::PARTIAL)
    }

    /// The same, without the bit that says how the length is written.
    const fn without_extended(self) -> Self {
        Self(self.0 & !Self::EXTENDED)
    }
}

impl AttributeCode {
    /// How the origin of the path learned it.
    pub const ORIGIN: Self = Self(1);
    /// The systems on the way.
    pub const AS_PATH: Self = Self(2);
    /// An IPv4 next hop.
    pub const NEXT_HOP: Self = Self(3);
    /// MULTI_EXIT_DISC.
    pub const MED: Self = Self(4);
    /// The degree of preference inside an AS.
    pub const LOCAL_PREF: Self = Self(5);
    /// A less specific route was chosen on the way.
    pub const ATOMIC_AGGREGATE: Self = Self(6);
    /// Who aggregated.
    pub const AGGREGATOR: Self = Self(7);
    /// RFC 1997.
    pub const COMMUNITIES: Self = Self(8);
    /// RFC 4456.
    pub const ORIGINATOR_ID: Self = Self(9);
    /// RFC 4456.
    pub const CLUSTER_LIST: Self = Self(10);
    /// RFC 4760.
    pub const MP_REACH_NLRI: Self = Self(14);
    /// RFC 4760.
    pub const MP_UNREACH_NLRI: Self = Self(15);
    /// RFC 4360.
    pub const EXTENDED_COMMUNITIES: Self = Self(16);
    /// RFC 6793.
    pub const AS4_PATH: Self = Self(17);
    /// RFC 6793.
    pub const AS4_AGGREGATOR: Self = Self(18);
    /// RFC 8092.
    pub const LARGE_COMMUNITIES: Self = Self(32);

    /// The flags that the attribute's definition fixes, if it is known here.
    #[must_use]
    pub const fn category(self) -> Option<AttributeFlags> {
        match self.0 {
            1..=3 | 5 | 6 => Some(AttributeFlags::WELL_KNOWN),
            4 | 9 | 10 | 14 | 15 => Some(AttributeFlags::OPTIONAL),
            7 | 8 | 16..=18 | 32 => Some(AttributeFlags::OPTIONAL_TRANSITIVE),
            _ => None,
        }
    }
}

impl fmt::Display for AttributeCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match *self {
            Self::ORIGIN => "ORIGIN",
            Self::AS_PATH => "AS_PATH",
            Self::NEXT_HOP => "NEXT_HOP",
            Self::MED => "MULTI_EXIT_DISC",
            Self::LOCAL_PREF => "LOCAL_PREF",
            Self::ATOMIC_AGGREGATE => "ATOMIC_AGGREGATE",
            Self::AGGREGATOR => "AGGREGATOR",
            Self::COMMUNITIES => "COMMUNITIES",
            Self::ORIGINATOR_ID => "ORIGINATOR_ID",
            Self::CLUSTER_LIST => "CLUSTER_LIST",
            Self::MP_REACH_NLRI => "MP_REACH_NLRI",
            Self::MP_UNREACH_NLRI => "MP_UNREACH_NLRI",
            Self::EXTENDED_COMMUNITIES => "EXTENDED_COMMUNITIES",
            Self::AS4_PATH => "AS4_PATH",
            Self::AS4_AGGREGATOR => "AS4_AGGREGATOR",
            Self::LARGE_COMMUNITIES => "LARGE_COMMUNITIES",
            Self(code) => return write!(f, "attribute {code}"),
        })
    }
}

impl<'a> RawAttributes<'a> {
    /// The attributes in `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(Fields(bytes))
    }

    /// What has not been iterated; at the end, an attribute that is cut.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.0.0
    }
}

impl<'a> Iterator for RawAttributes<'a> {
    type Item = RawAttribute<'a>;

    fn next(&mut self) -> Option<RawAttribute<'a>> {
        let before = self.0.0;
        let mut fields = self.0;
        let flags = AttributeFlags(fields.u8()?);
        let code = AttributeCode(fields.u8()?);
        let value = if flags.is_extended() {
            fields.slice_u16()?
        } else {
            fields.slice_u8()?
        };
        self.0 = fields;
        Some(RawAttribute {
            flags,
            code,
            value,
            whole: before.get(..before.len() - fields.0.len())?,
        })
    }
}

/// Appends an attribute with the shortest length that holds it.
pub(crate) fn write_attribute(
    out: &mut Vec<u8>,
    flags: AttributeFlags,
    code: AttributeCode,
    value: &[u8],
) {
    write_with(out, flags, code, |out| out.extend_from_slice(value));
}

/// Appends an attribute whose value is written in place.
pub(crate) fn write_with(
    out: &mut Vec<u8>,
    flags: AttributeFlags,
    code: AttributeCode,
    value: impl FnOnce(&mut Vec<u8>),
) {
    let flags = flags.without_extended();
    out.extend_from_slice(&[flags.0, code.0, 0]);
    let start = out.len();
    value(out);
    let len = out.len() - start;
    if let Ok(short) = u8::try_from(len) {
        if let Some(field) = out.get_mut(start - 1) {
            *field = short;
        }
        return;
    }
    // Rare: make room for the second octet of the length.
    let [high, low] = u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes();
    out.splice(start - 1..start, [high, low]);
    if let Some(field) = out.get_mut(start - 3) {
        *field = flags.0 | AttributeFlags::EXTENDED;
    }
}
