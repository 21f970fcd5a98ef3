//! Network layer reachability information: prefixes, packed (RFC 4271 §4.3).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use types::{Family, Prefix};

use crate::fields::Fields;

/// Prefixes of one family over the bytes they came in. Every one of them is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nlri<'a> {
    family: Family,
    bytes: &'a [u8],
}

/// Iterates the prefixes of [`Nlri`]; host bits are cleared.
#[derive(Clone, Debug)]
pub struct Prefixes<'a> {
    family: Family,
    fields: Fields<'a>,
}

/// Why bytes are no prefixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NlriError {
    /// Longer than the family's addresses.
    #[error("a prefix length of {0} is too long")]
    TooLong(u8),
    /// The last prefix is not whole.
    #[error("the last prefix is cut")]
    Cut,
}

impl<'a> Nlri<'a> {
    /// No prefix.
    #[must_use]
    pub const fn empty(family: Family) -> Self {
        Self { family, bytes: &[] }
    }

    /// Checks that `bytes` are prefixes of `family`.
    ///
    /// # Errors
    /// If a length is too long or a prefix is cut.
    pub fn parse(family: Family, bytes: &'a [u8]) -> Result<Self, NlriError> {
        let mut fields = Fields(bytes);
        while let Some(len) = fields.u8() {
            if len > family.bits() {
                return Err(NlriError::TooLong(len));
            }
            fields
                .slice(usize::from(len).div_ceil(8))
                .ok_or(NlriError::Cut)?;
        }
        Ok(Self { family, bytes })
    }

    /// The prefixes' family.
    #[must_use]
    pub const fn family(&self) -> Family {
        self.family
    }

    /// Whether there is no prefix.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The prefixes, packed as they came.
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The prefixes.
    #[must_use]
    pub const fn iter(&self) -> Prefixes<'a> {
        Prefixes {
            family: self.family,
            fields: Fields(self.bytes),
        }
    }
}

impl<'a> IntoIterator for Nlri<'a> {
    type Item = Prefix;
    type IntoIter = Prefixes<'a>;

    fn into_iter(self) -> Prefixes<'a> {
        self.iter()
    }
}

impl<'a> IntoIterator for &Nlri<'a> {
    type Item = Prefix;
    type IntoIter = Prefixes<'a>;

    fn into_iter(self) -> Prefixes<'a> {
        self.iter()
    }
}

impl Iterator for Prefixes<'_> {
    type Item = Prefix;

    fn next(&mut self) -> Option<Prefix> {
        let len = self.fields.u8()?;
        let octets = self.fields.slice(usize::from(len).div_ceil(8))?;
        let addr = match self.family {
            Family::V4 => IpAddr::V4(Ipv4Addr::from(padded::<4>(octets))),
            Family::V6 => IpAddr::V6(Ipv6Addr::from(padded::<16>(octets))),
        };
        Prefix::containing(addr, len).ok()
    }
}

fn padded<const N: usize>(octets: &[u8]) -> [u8; N] {
    let mut whole = [0; N];
    whole
        .iter_mut()
        .zip(octets)
        .for_each(|(to, from)| *to = *from);
    whole
}

/// How many octets a prefix takes.
pub(crate) fn wire_len(prefix: &Prefix) -> usize {
    1 + usize::from(prefix.len()).div_ceil(8)
}

/// Appends one prefix.
pub(crate) fn write_prefix(out: &mut Vec<u8>, prefix: &Prefix) {
    let significant = usize::from(prefix.len()).div_ceil(8);
    out.push(prefix.len());
    match prefix.addr() {
        IpAddr::V4(addr) => out.extend(addr.octets().iter().take(significant)),
        IpAddr::V6(addr) => out.extend(addr.octets().iter().take(significant)),
    }
}
