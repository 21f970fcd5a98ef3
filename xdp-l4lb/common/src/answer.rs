//! What a VIP says itself: echo replies, "packet too big" and "port unreachable".

use bpf_common::{DropReason, Packet};
use wire::{Checksum, Ethernet, Icmp, Ipv4, Ipv6, ethertype, icmp_v4, icmp_v6, next_header};
use wire::{pseudo_v6, put, replaced};

use crate::access::Maps;
use crate::hash::AddrWords;
use crate::headers::Headers;
use crate::layout::{Counter, PROTO_ICMP};
use crate::verdict::Verdict;

/// TTL and hop limit of what a VIP sends.
const HOPS: u8 = 64;
/// Traffic class of errors: internetwork control (RFC 1812 §4.3.2.5).
const CONTROL: u8 = 0xc0;
/// An error quotes at most so many bytes. RFC 792 asks for 28, RFC 4443 for what fits; this is
/// enough for every header a sender looks for.
pub const MAX_QUOTE: usize = 256;
/// RFC 791 §3.1: no IPv4 link has a smaller MTU.
const MIN_MTU_V4: u16 = 68;

/// Bytes of an echo reply that differ from the request's.
pub const ECHO_V4: usize = Ethernet::LEN + Ipv4::LEN + 4;
/// Bytes of an echo reply that differ from the request's.
pub const ECHO_V6: usize = Ethernet::LEN + Ipv6::LEN + 4;
/// Bytes that an error pushes in front of the packet it quotes.
pub const PUSH_V4: usize = Ipv4::LEN + Icmp::LEN;
/// Bytes that an error pushes in front of the packet it quotes.
pub const PUSH_V6: usize = Ipv6::LEN + Icmp::LEN;

/// The start of a frame, aligned so that it is copied in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(8))]
pub struct Head<const N: usize>(pub [u8; N]);

/// A frame that goes back through the interface its cause came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// These bytes replace the frame's first ones.
    EchoV4(Head<ECHO_V4>),
    /// These bytes replace the frame's first ones.
    EchoV6(Head<ECHO_V6>),
    /// The frame is cut behind `quote` bytes of its IP packet, pushed by [`PUSH_V4`], and starts
    /// with `head` then.
    ErrorV4 {
        /// Ethernet, IP and ICMP headers.
        head: Head<{ Ethernet::LEN + PUSH_V4 }>,
        /// Bytes of the IP packet that are kept.
        quote: usize,
    },
    /// The frame is cut behind `quote` bytes of its IP packet, pushed by [`PUSH_V6`], and starts
    /// with `head` then.
    ErrorV6 {
        /// Ethernet, IP and ICMP headers.
        head: Head<{ Ethernet::LEN + PUSH_V6 }>,
        /// Bytes of the IP packet that are kept.
        quote: usize,
    },
}

/// No error.
pub(crate) const NOTHING: u32 = 0;
/// With an MTU in the low half: the packet must not be longer than that.
pub(crate) const TOO_BIG: u32 = 1 << 16;
/// Nobody is there.
pub(crate) const UNREACHABLE: u32 = 1 << 17;

/// What an error says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ask {
    /// The packet must not be longer than this.
    TooBig(u16),
    /// Nobody is there.
    Unreachable,
}

impl Ask {
    /// From what was passed in one word.
    #[inline(always)]
    const fn new(word: u32) -> Self {
        let [low, high, ..] = word.to_le_bytes();
        if word & UNREACHABLE == 0 {
            Self::TooBig(u16::from_le_bytes([low, high]))
        } else {
            Self::Unreachable
        }
    }
}

/// The answer to an echo request without options or extension headers.
#[inline(never)]
pub(crate) fn echo<P: Packet>(packet: &P, headers: &Headers, verdict: &mut Verdict) {
    let Some(icmp) = packet.load(headers.at).map(Icmp::parse) else {
        *verdict = Verdict::Drop(DropReason::Malformed);
        return;
    };
    let Some(ethernet) = answerable(packet, headers) else {
        *verdict = Verdict::Drop(DropReason::UnanswerableSource);
        return;
    };
    // Each way stores its own answer: the verifier refuses a store of bytes that only one has set.
    *verdict = Verdict::Drop(DropReason::Malformed);
    if headers.inner.v6 {
        if let Some(answer) = echo_v6(&ethernet, headers, icmp) {
            *verdict = Verdict::Answer(answer, Counter::EchoReplied);
        }
    } else if let Some(answer) = echo_v4(packet, &ethernet, icmp) {
        *verdict = Verdict::Answer(answer, Counter::EchoReplied);
    }
}

#[inline(always)]
fn echo_v4(packet: &impl Packet, ethernet: &Ethernet, icmp: Icmp) -> Option<Answer> {
    let request = Ipv4::parse(packet.load(Ethernet::LEN)?).ok()?;
    let ip = Ipv4 {
        ttl: HOPS,
        src: request.dst,
        dst: request.src,
        ..request
    };
    let old = [icmp_v4::ECHO_REQUEST, icmp.code];
    let new = [icmp_v4::ECHO_REPLY, icmp.code];
    let [c0, c1] = replaced(icmp.checksum, old, new);
    let mut head = [0; ECHO_V4];
    put::<0, _, _>(&mut head, back(ethernet, ethertype::IPV4));
    put::<{ Ethernet::LEN }, _, _>(&mut head, ip.write());
    put::<{ Ethernet::LEN + Ipv4::LEN }, _, _>(&mut head, [new[0], new[1], c0, c1]);
    Some(Answer::EchoV4(Head(head)))
}

#[inline(always)]
fn echo_v6(ethernet: &Ethernet, headers: &Headers, icmp: Icmp) -> Option<Answer> {
    let ip = answer_v6(headers, short(headers.inner.len)?.checked_sub(40)?, 0);
    // The addresses change places, which the sum does not notice.
    let old = [icmp_v6::ECHO_REQUEST, icmp.code];
    let new = [icmp_v6::ECHO_REPLY, icmp.code];
    let [c0, c1] = replaced(icmp.checksum, old, new);
    let mut head = [0; ECHO_V6];
    put::<0, _, _>(&mut head, back(ethernet, ethertype::IPV6));
    put::<{ Ethernet::LEN }, _, _>(&mut head, ip.write());
    put::<{ Ethernet::LEN + Ipv6::LEN }, _, _>(&mut head, [new[0], new[1], c0, c1]);
    Some(Answer::EchoV6(Head(head)))
}

/// An error about the packet, if one may be sent.
///
/// Departs from RFC 792: "fragmentation needed" is sent without "don't fragment" too. Outer packets
/// are never cut, so a sender that did not ask for it learns the path's MTU or gets nothing through.
#[inline(never)]
pub(crate) fn error<M: Maps, P: Packet>(
    maps: &M,
    packet: &P,
    headers: &Headers,
    ask: u32,
    verdict: &mut Verdict,
) {
    let ask = Ask::new(ask);
    if !can_heed(headers, ask) {
        *verdict = Verdict::Drop(DropReason::TooBig);
        return;
    }
    let Some(ethernet) = answerable(packet, headers) else {
        *verdict = Verdict::Drop(DropReason::UnanswerableSource);
        return;
    };
    if !maps.allow_error() {
        *verdict = Verdict::Drop(DropReason::RateLimited);
        return;
    }
    let quote = headers.inner.len.min(MAX_QUOTE) & !3;
    let sum = Checksum::EMPTY.word(quoted(packet, quote).to_ne_bytes());
    let counter = match ask {
        Ask::TooBig(_) => Counter::TooBigSent,
        Ask::Unreachable => Counter::UnreachableSent,
    };
    // Each way stores its own answer: the verifier refuses a store of bytes that only one has set.
    *verdict = Verdict::Drop(DropReason::Malformed);
    if headers.inner.v6 {
        if let Some(answer) = error_v6(&ethernet, headers, ask, quote, sum) {
            *verdict = Verdict::Answer(answer, counter);
        }
    } else if let Some(answer) = error_v4(&ethernet, headers, ask, quote, sum) {
        *verdict = Verdict::Answer(answer, counter);
    }
}

/// Whether a sender can make its packets as small as they would have to be.
#[inline(always)]
fn can_heed(headers: &Headers, ask: Ask) -> bool {
    match ask {
        Ask::Unreachable => true,
        // RFC 8200 §5: nobody sends less than 1280 bytes for a path.
        Ask::TooBig(_) if headers.inner.v6 => headers.inner.len > Ipv6::MIN_MTU as usize,
        Ask::TooBig(mtu) => mtu >= MIN_MTU_V4,
    }
}

#[inline(always)]
fn error_v4(
    ethernet: &Ethernet,
    headers: &Headers,
    ask: Ask,
    quote: usize,
    sum: Checksum,
) -> Option<Answer> {
    let (code, mtu) = match ask {
        Ask::TooBig(mtu) => (icmp_v4::FRAGMENTATION_NEEDED, mtu),
        Ask::Unreachable => (icmp_v4::PORT_UNREACHABLE, 0),
    };
    let [high, low] = mtu.to_be_bytes();
    let icmp = Icmp {
        kind: icmp_v4::UNREACHABLE,
        code,
        checksum: [0; 2],
        rest: [0, 0, high, low],
    };
    let ip = Ipv4 {
        traffic_class: CONTROL,
        header_len: 20,
        total_len: short(quote + PUSH_V4)?,
        id: 0,
        fragment: Ipv4::DONT_FRAGMENT,
        ttl: HOPS,
        proto: PROTO_ICMP,
        checksum: [0; 2],
        src: headers.dst.as_v4()?,
        dst: headers.src.as_v4()?,
    };
    let mut head = [0; Ethernet::LEN + PUSH_V4];
    put::<0, _, _>(&mut head, back(ethernet, ethertype::IPV4));
    put::<{ Ethernet::LEN }, _, _>(&mut head, ip.write());
    put::<{ Ethernet::LEN + Ipv4::LEN }, _, _>(&mut head, sealed(icmp, sum));
    Some(Answer::ErrorV4 {
        head: Head(head),
        quote,
    })
}

#[inline(always)]
fn error_v6(
    ethernet: &Ethernet,
    headers: &Headers,
    ask: Ask,
    quote: usize,
    sum: Checksum,
) -> Option<Answer> {
    let (kind, code, mtu) = match ask {
        Ask::TooBig(mtu) => (icmp_v6::PACKET_TOO_BIG, 0, mtu.max(Ipv6::MIN_MTU)),
        Ask::Unreachable => (icmp_v6::UNREACHABLE, icmp_v6::PORT_UNREACHABLE, 0),
    };
    let [high, low] = mtu.to_be_bytes();
    let icmp = Icmp {
        kind,
        code,
        checksum: [0; 2],
        rest: [0, 0, high, low],
    };
    let len = quote + Icmp::LEN;
    let ip = answer_v6(headers, short(len)?, CONTROL);
    let pseudo = pseudo_v6(ip.src, ip.dst, next_header::ICMP, ip.payload_len as u32);
    let mut head = [0; Ethernet::LEN + PUSH_V6];
    put::<0, _, _>(&mut head, back(ethernet, ethertype::IPV6));
    put::<{ Ethernet::LEN }, _, _>(&mut head, ip.write());
    put::<{ Ethernet::LEN + Ipv6::LEN }, _, _>(&mut head, sealed(icmp, sum.and(pseudo)));
    Some(Answer::ErrorV6 {
        head: Head(head),
        quote,
    })
}

#[inline(always)]
fn answer_v6(headers: &Headers, payload_len: u16, traffic_class: u8) -> Ipv6 {
    Ipv6 {
        traffic_class,
        flow_label: 0,
        payload_len,
        next_header: next_header::ICMP,
        hop_limit: HOPS,
        src: headers.dst.bytes(),
        dst: headers.src.bytes(),
    }
}

/// The ICMP header with its checksum, `sum` being that of all it covers else.
#[inline(always)]
fn sealed(icmp: Icmp, sum: Checksum) -> [u8; Icmp::LEN] {
    let checksum = sum.word([icmp.kind, icmp.code]).double(icmp.rest).finish();
    Icmp { checksum, ..icmp }.write()
}

/// The sum over the first `quote` bytes of the IP packet, a multiple of four.
#[inline(never)]
fn quoted<P: Packet>(packet: &P, quote: usize) -> u16 {
    let mut sum = Checksum::EMPTY;
    for at in (0..MAX_QUOTE).step_by(4) {
        if at >= quote {
            break;
        }
        let Some(bytes) = packet.load::<4>(Ethernet::LEN + at) else {
            // Every one was there when the packet was found to be whole.
            return 0;
        };
        sum = sum.double(bytes);
    }
    !u16::from_ne_bytes(sum.finish())
}

/// RFC 1122 §3.2.2, RFC 4443 §2.4: an answer goes to one host, and its cause went to one.
#[inline(always)]
fn answerable<P: Packet>(packet: &P, headers: &Headers) -> Option<Ethernet> {
    let ethernet = Ethernet::parse(packet.load(0)?);
    let [first, ..] = ethernet.dst;
    (first & 1 == 0 && is_host(headers.src, headers.inner.v6)).then_some(ethernet)
}

#[inline(always)]
fn is_host(addr: AddrWords, v6: bool) -> bool {
    if v6 {
        let [first, ..] = addr.hi.to_ne_bytes();
        // Unspecified, loopback and v4-mapped addresses start with zeros.
        return addr.hi != 0 && first != 0xff;
    }
    match addr.as_v4() {
        Some([first, ..]) => first != 0 && first != 127 && first < 224,
        None => false,
    }
}

#[inline(always)]
fn back(ethernet: &Ethernet, ethertype: u16) -> [u8; Ethernet::LEN] {
    Ethernet {
        dst: ethernet.src,
        src: ethernet.dst,
        ethertype,
    }
    .write()
}

#[inline(always)]
fn short(len: usize) -> Option<u16> {
    u16::try_from(len).ok()
}
