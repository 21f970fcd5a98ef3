//! Packs routes into UPDATEs, as many as a message holds.

use std::borrow::Cow;

use types::{Asn, Family, Prefix};

use crate::attribute::{write_attribute, write_with};
use crate::fields::{exact, fill_u16};
use crate::header::{begin, end};
use crate::nlri::{wire_len, write_prefix};
use crate::{
    AfiSafi, AsPath, AttributeCode, AttributeFlags, Attributes, Dialect, MessageKind, NextHop,
};

/// MP attributes always have a length of two octets: it is known only at the end.
const MP_FLAGS: u8 = 0x90;

/// One UPDATE in the making. Dropped before [`UpdateBuilder::finish`], it leaves nothing behind.
#[derive(Debug)]
#[must_use = "an UPDATE that is not finished is not sent"]
pub struct UpdateBuilder<'b> {
    out: &'b mut Vec<u8>,
    start: usize,
    /// Where the prefixes must end.
    room: usize,
    family: Family,
    form: Form<'b>,
    count: usize,
    finished: bool,
}

/// Why no UPDATE can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PackError {
    /// The attributes leave no room for a prefix.
    #[error("the attributes do not fit into a message")]
    TooLong,
    /// The next hop is of a family that the peer does not take for these routes.
    #[error("the next hop is of the wrong family")]
    NextHop,
}

/// Where the prefixes go, and which lengths are still open.
#[derive(Debug)]
enum Form<'b> {
    /// Withdrawn routes field; its length is at the offset.
    Withdrawn { len_at: usize },
    /// MP_UNREACH_NLRI, the only attribute.
    Unreach { total_at: usize },
    /// The field at the end.
    Nlri,
    /// MP_REACH_NLRI, and the attributes that come behind it.
    Reach {
        total_at: usize,
        behind: Cow<'b, [u8]>,
    },
}

/// Appends the End-of-RIB of a family (RFC 4724 §2).
pub fn write_end_of_rib(out: &mut Vec<u8>, family: Family) {
    let start = begin(out, MessageKind::Update);
    match family {
        Family::V4 => out.extend_from_slice(&[0, 0, 0, 0]),
        Family::V6 => {
            let [high, low, safi] = AfiSafi::from(family).octets();
            let code = AttributeCode::MP_UNREACH_NLRI.0;
            let flags = AttributeFlags::OPTIONAL.0;
            out.extend_from_slice(&[0, 0, 0, 6, flags, code, 3, high, low, safi]);
        }
    }
    end(out, start);
}

impl<'b> UpdateBuilder<'b> {
    /// Starts an UPDATE behind what `out` holds that withdraws prefixes of `family`.
    pub fn withdraw(out: &'b mut Vec<u8>, dialect: &Dialect, family: Family) -> Self {
        let start = begin(out, MessageKind::Update);
        let room = start + dialect.limit.octets();
        out.extend_from_slice(&[0, 0]);
        // RFC 8950 peers keep IPv4 routes where MP_REACH_NLRI put them.
        let (form, room) = if family == Family::V4 && !dialect.extended_next_hop {
            let len_at = out.len() - 2;
            // The length of no attributes comes last.
            (Form::Withdrawn { len_at }, room - 2)
        } else {
            let total_at = begin_mp(out, AttributeCode::MP_UNREACH_NLRI, family);
            (Form::Unreach { total_at }, room)
        };
        Self::new(out, start, room, family, form)
    }

    /// Starts an UPDATE behind what `out` holds that announces prefixes of `family`.
    ///
    /// # Errors
    /// If the attributes leave no room, or the peer does not take such a next hop.
    pub fn announce(
        out: &'b mut Vec<u8>,
        dialect: &Dialect,
        family: Family,
        attributes: Attributes<'b>,
        next_hop: &NextHop,
    ) -> Result<Self, PackError> {
        let attributes = translated(attributes, dialect);
        let start = out.len();
        let most = start + dialect.limit.octets();
        let (form, room) = match (family, next_hop) {
            (Family::V4, NextHop::V4(addr)) => {
                write_classic(out, &attributes, addr.octets());
                (Form::Nlri, most)
            }
            (Family::V6, NextHop::V4(_)) => return Err(PackError::NextHop),
            (Family::V4, NextHop::V6 { .. }) if !dialect.extended_next_hop => {
                return Err(PackError::NextHop);
            }
            (Family::V4 | Family::V6, NextHop::V6 { .. }) => {
                begin(out, MessageKind::Update);
                out.extend_from_slice(&[0, 0]);
                let total_at = begin_mp(out, AttributeCode::MP_REACH_NLRI, family);
                out.push(u8::try_from(next_hop.wire_len()).unwrap_or(0));
                next_hop.write(out);
                out.push(0);
                let room = most.saturating_sub(attributes.len());
                let behind = attributes;
                (Form::Reach { total_at, behind }, room)
            }
        };
        let builder = Self::new(out, start, room, family, form);
        if builder.out.len() + wire_len(&Prefix::host(any(family))) > room {
            return Err(PackError::TooLong);
        }
        Ok(builder)
    }

    fn new(
        out: &'b mut Vec<u8>,
        start: usize,
        room: usize,
        family: Family,
        form: Form<'b>,
    ) -> Self {
        Self {
            out,
            start,
            room,
            family,
            form,
            count: 0,
            finished: false,
        }
    }

    /// Adds a prefix. `false` if the message is full or the prefix is of another family: it is
    /// for another message.
    #[must_use]
    pub fn push(&mut self, prefix: &Prefix) -> bool {
        let fits = self.out.len() + wire_len(prefix) <= self.room;
        let added = fits && prefix.family() == self.family;
        if added {
            write_prefix(self.out, prefix);
            self.count += 1;
        }
        added
    }

    /// How many prefixes are in it.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.count
    }

    /// Completes the message and says how many prefixes it has. With none there is no message.
    pub fn finish(mut self) -> usize {
        if self.count == 0 {
            return 0;
        }
        match &self.form {
            Form::Withdrawn { len_at } => {
                let len = self.out.len() - len_at - 2;
                fill_u16(self.out, *len_at, len);
                self.out.extend_from_slice(&[0, 0]);
            }
            Form::Unreach { total_at } => end_mp(self.out, *total_at, &[]),
            Form::Nlri => (),
            Form::Reach { total_at, behind } => end_mp(self.out, *total_at, behind),
        }
        end(self.out, self.start);
        self.finished = true;
        self.count
    }
}

impl Drop for UpdateBuilder<'_> {
    fn drop(&mut self) {
        if !self.finished {
            self.out.truncate(self.start);
        }
    }
}

const fn any(family: Family) -> std::net::IpAddr {
    match family {
        Family::V4 => std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED),
        Family::V6 => std::net::IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED),
    }
}

/// Appends the head of an MP attribute behind the total length, which is where the result says.
fn begin_mp(out: &mut Vec<u8>, code: AttributeCode, family: Family) -> usize {
    let total_at = out.len();
    out.extend_from_slice(&[0, 0, MP_FLAGS, code.0, 0, 0]);
    out.extend_from_slice(&AfiSafi::from(family).octets());
    total_at
}

/// Fills in an MP attribute's length and the total one, and appends the other attributes.
fn end_mp(out: &mut Vec<u8>, total_at: usize, behind: &[u8]) {
    let value_at = total_at + 6;
    let len = out.len() - value_at;
    fill_u16(out, total_at + 4, len);
    out.extend_from_slice(behind);
    let total = out.len() - total_at - 2;
    fill_u16(out, total_at, total);
}

/// Appends everything before the prefixes of an UPDATE with a NEXT_HOP attribute.
fn write_classic(out: &mut Vec<u8>, attributes: &[u8], next_hop: [u8; 4]) {
    begin(out, MessageKind::Update);
    out.extend_from_slice(&[0, 0, 0, 0]);
    let total_at = out.len() - 2;
    let before = Attributes::from_canonical(attributes)
        .raw()
        .take_while(|raw| raw.code < AttributeCode::NEXT_HOP)
        .map(|raw| raw.whole.len())
        .sum();
    let (head, tail) = attributes
        .split_at_checked(before)
        .unwrap_or((attributes, &[]));
    out.extend_from_slice(head);
    write_attribute(
        out,
        AttributeFlags::WELL_KNOWN,
        AttributeCode::NEXT_HOP,
        &next_hop,
    );
    out.extend_from_slice(tail);
    let total = out.len() - total_at - 2;
    fill_u16(out, total_at, total);
}

/// The attributes in the peer's width of AS numbers.
fn translated<'a>(attributes: Attributes<'a>, dialect: &Dialect) -> Cow<'a, [u8]> {
    if dialect.four_octet_as {
        Cow::Borrowed(attributes.bytes())
    } else {
        Cow::Owned(two_octets(attributes))
    }
}

/// RFC 6793 §4.2.2: AS_PATH and AGGREGATOR in two octets; what they lose goes along.
fn two_octets(attributes: Attributes<'_>) -> Vec<u8> {
    let transitive = AttributeFlags::OPTIONAL_TRANSITIVE;
    let mut out = Vec::with_capacity(attributes.bytes().len());
    let mut lost: Vec<u8> = Vec::new();
    for raw in attributes.raw() {
        if raw.code > AttributeCode::AS4_AGGREGATOR {
            out.append(&mut lost);
        }
        match raw.code {
            AttributeCode::AS_PATH => {
                let path = AsPath::parse(raw.value, true).unwrap_or(AsPath::EMPTY);
                write_with(&mut out, raw.flags, raw.code, |out| {
                    path.write_two_octets(out);
                });
                if path.needs_four_octets() {
                    write_with(&mut lost, transitive, AttributeCode::AS4_PATH, |out| {
                        path.write_as4(out);
                    });
                }
            }
            AttributeCode::AGGREGATOR => {
                let Some([a, b, c, d, e, f, g, h]) = exact::<8>(raw.value) else {
                    continue;
                };
                let asn = u32::from_be_bytes([a, b, c, d]);
                let short = u16::try_from(asn).unwrap_or(Asn::TRANS.two_octets());
                let [high, low] = short.to_be_bytes();
                write_attribute(&mut out, raw.flags, raw.code, &[high, low, e, f, g, h]);
                if u32::from(short) != asn {
                    let code = AttributeCode::AS4_AGGREGATOR;
                    write_attribute(&mut lost, transitive, code, raw.value);
                }
            }
            AttributeCode(_) => out.extend_from_slice(raw.whole),
        }
    }
    out.append(&mut lost);
    out
}
