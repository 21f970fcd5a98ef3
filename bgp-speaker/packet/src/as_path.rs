//! AS_PATH: the systems that a route has come through.

use std::fmt;

use types::Asn;

use crate::fields::{Fields, fill_u8};

/// The most AS numbers that a segment holds: its count is one octet.
const SEGMENT_MAX: usize = 255;

/// How the AS numbers of a segment are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentKind {
    /// In no order.
    Set,
    /// The nearest first.
    Sequence,
    /// In order, inside a confederation (RFC 5065).
    ConfederationSequence,
    /// In no order, inside a confederation (RFC 5065).
    ConfederationSet,
}

/// A part of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    /// How to read it.
    pub kind: SegmentKind,
    numbers: Numbers<'a>,
}

/// A path over the bytes it came in; its segments are valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AsPath<'a>(Numbers<'a>);

/// Bytes, and whether an AS number takes four of them or two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Numbers<'a> {
    bytes: &'a [u8],
    four_octets: bool,
}

impl SegmentKind {
    const fn code(self) -> u8 {
        match self {
            Self::Set => 1,
            Self::Sequence => 2,
            Self::ConfederationSequence => 3,
            Self::ConfederationSet => 4,
        }
    }

    const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Set),
            2 => Some(Self::Sequence),
            3 => Some(Self::ConfederationSequence),
            4 => Some(Self::ConfederationSet),
            _ => None,
        }
    }

    /// RFC 5065: known only inside a confederation.
    pub(crate) const fn is_confederation(self) -> bool {
        matches!(self, Self::ConfederationSequence | Self::ConfederationSet)
    }
}

impl<'a> Segment<'a> {
    fn take(fields: &mut Fields<'a>, four_octets: bool) -> Option<Self> {
        let kind = SegmentKind::from_code(fields.u8()?)?;
        let count = fields.u8().filter(|&count| count > 0)?;
        let width = if four_octets { 4 } else { 2 };
        let bytes = fields.slice(usize::from(count) * width)?;
        let numbers = Numbers { bytes, four_octets };
        Some(Self { kind, numbers })
    }

    /// The AS numbers.
    pub fn asns(&self) -> impl Iterator<Item = u32> + use<'a> {
        let Numbers { bytes, four_octets } = self.numbers;
        let mut fields = Fields(bytes);
        std::iter::from_fn(move || {
            if four_octets {
                fields.u32()
            } else {
                fields.u16().map(u32::from)
            }
        })
    }

    /// How much the segment adds to a path's length (RFC 4271 §9.1.2.2, RFC 5065 §5.3).
    fn hops(&self) -> usize {
        match self.kind {
            SegmentKind::Sequence => self.asns().count(),
            SegmentKind::Set => 1,
            SegmentKind::ConfederationSequence | SegmentKind::ConfederationSet => 0,
        }
    }
}

impl<'a> AsPath<'a> {
    /// The path of a route that starts here.
    pub const EMPTY: AsPath<'static> = AsPath(Numbers {
        bytes: &[],
        four_octets: true,
    });

    /// Reads a path of AS numbers of four octets, or of two.
    ///
    /// `None` if it is malformed as RFC 7606 §7.2 has it, or has AS 0 in it (RFC 7607).
    #[must_use]
    pub fn parse(bytes: &'a [u8], four_octets: bool) -> Option<Self> {
        let mut fields = Fields(bytes);
        while !fields.is_empty() {
            let segment = Segment::take(&mut fields, four_octets)?;
            if segment.asns().any(|asn| asn == 0) {
                return None;
            }
        }
        Some(Self(Numbers { bytes, four_octets }))
    }

    /// The segments, the nearest first.
    pub fn segments(&self) -> impl Iterator<Item = Segment<'a>> + use<'a> {
        let Numbers { bytes, four_octets } = self.0;
        let mut fields = Fields(bytes);
        std::iter::from_fn(move || Segment::take(&mut fields, four_octets))
    }

    /// The path's length as the decision process counts it: a set is one hop.
    #[must_use]
    pub fn hops(&self) -> usize {
        self.segments().map(|segment| segment.hops()).sum()
    }

    /// The AS that the route was learned from: the first number of a leading sequence.
    #[must_use]
    pub fn neighbor(&self) -> Option<Asn> {
        let first = self
            .segments()
            .find(|segment| !segment.kind.is_confederation())?;
        match first.kind {
            SegmentKind::Sequence => Asn::try_from(first.asns().next()?).ok(),
            SegmentKind::Set
            | SegmentKind::ConfederationSequence
            | SegmentKind::ConfederationSet => None,
        }
    }

    /// Whether the route has come through `asn`.
    #[must_use]
    pub fn contains(&self, asn: Asn) -> bool {
        self.segments()
            .any(|segment| segment.asns().any(|number| number == asn.get()))
    }

    pub(crate) fn has_confederation(&self) -> bool {
        self.segments()
            .any(|segment| segment.kind.is_confederation())
    }

    /// Appends the path in its canonical form: four octets, sequences joined.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let mut path = PathWriter::new(out, true);
        self.segments().for_each(|segment| path.segment(&segment));
    }

    /// Appends the path for a peer that has two octets only (RFC 6793 §4.2.2).
    pub(crate) fn write_two_octets(&self, out: &mut Vec<u8>) {
        let mut path = PathWriter::new(out, false);
        self.segments().for_each(|segment| path.segment(&segment));
    }

    /// Appends AS4_PATH: the path without its confederation segments.
    pub(crate) fn write_as4(&self, out: &mut Vec<u8>) {
        let mut path = PathWriter::new(out, true);
        self.segments()
            .filter(|segment| !segment.kind.is_confederation())
            .for_each(|segment| path.segment(&segment));
    }

    /// Appends this path of two octets with what AS4_PATH knows better (RFC 6793 §4.2.3).
    pub(crate) fn write_merged(&self, newer: &AsPath<'_>, out: &mut Vec<u8>) {
        let Some(mut ours) = self.hops().checked_sub(newer.hops()) else {
            // Somebody on the way prepended without telling AS4_PATH: it is older than AS_PATH.
            return self.write(out);
        };
        let mut path = PathWriter::new(out, true);
        for segment in self.segments() {
            let hops = segment.hops();
            if hops <= ours {
                path.segment(&segment);
                ours -= hops;
            } else {
                segment
                    .asns()
                    .take(ours)
                    .for_each(|asn| path.push(segment.kind, asn));
                break;
            }
        }
        newer
            .segments()
            .filter(|segment| !segment.kind.is_confederation())
            .for_each(|segment| path.segment(&segment));
    }

    /// Whether some AS number does not fit into two octets.
    pub(crate) fn needs_four_octets(&self) -> bool {
        self.segments()
            .any(|segment| segment.asns().any(|asn| u16::try_from(asn).is_err()))
    }
}

impl fmt::Display for AsPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, segment) in self.segments().enumerate() {
            let (open, between, close) = match segment.kind {
                SegmentKind::Sequence => ("", " ", ""),
                SegmentKind::Set => ("{", ",", "}"),
                SegmentKind::ConfederationSequence => ("(", " ", ")"),
                SegmentKind::ConfederationSet => ("[", ",", "]"),
            };
            f.write_str(if at == 0 { "" } else { " " })?;
            f.write_str(open)?;
            for (at, asn) in segment.asns().enumerate() {
                write!(f, "{}{asn}", if at == 0 { "" } else { between })?;
            }
            f.write_str(close)?;
        }
        Ok(())
    }
}

/// Appends segments; neighbouring sequences become one as far as a segment goes.
pub(crate) struct PathWriter<'o> {
    out: &'o mut Vec<u8>,
    four_octets: bool,
    /// The last segment: its kind, where its count is, and the count.
    last: Option<(SegmentKind, usize, usize)>,
}

impl<'o> PathWriter<'o> {
    pub(crate) fn new(out: &'o mut Vec<u8>, four_octets: bool) -> Self {
        Self {
            out,
            four_octets,
            last: None,
        }
    }

    fn segment(&mut self, segment: &Segment<'_>) {
        if segment.kind != SegmentKind::Sequence {
            self.last = None;
        }
        segment.asns().for_each(|asn| self.push(segment.kind, asn));
    }

    pub(crate) fn push(&mut self, kind: SegmentKind, asn: u32) {
        let (at, count) = match self.last {
            Some((last, at, count)) if last == kind && count < SEGMENT_MAX => (at, count),
            Some(_) | None => {
                self.out.extend_from_slice(&[kind.code(), 0]);
                (self.out.len() - 1, 0)
            }
        };
        if self.four_octets {
            self.out.extend_from_slice(&asn.to_be_bytes());
        } else {
            let asn = u16::try_from(asn).unwrap_or(Asn::TRANS.two_octets());
            self.out.extend_from_slice(&asn.to_be_bytes());
        }
        fill_u8(self.out, at, count + 1);
        self.last = Some((kind, at, count + 1));
    }
}
