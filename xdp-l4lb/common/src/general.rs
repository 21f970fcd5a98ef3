//! Any packet: options and extension headers, frames in pieces, ICMP, and all that is dropped or
//! answered.

use bpf_common::{DropReason, Packet};
use wire::{Ethernet, Icmp, Tcp, Udp, icmp_v4, icmp_v6, next_header, part};

use crate::access::Maps;
use crate::answer;
use crate::forward::{Obstacle, forward};
use crate::hash::{AddrWords, Flow, flow_hash};
use crate::headers::{Headers, Kind, frame, ipv4, ipv6};
use crate::layout::{Counter, PROTO_ICMP, PROTO_TCP, PROTO_UDP, SERVICE_REFUSE, SlotTable};
use crate::lookup::{ADDRESS_ONLY, find, tail};
use crate::steer::{NOBODY, Stage, choose};
use crate::verdict::Verdict;

/// A packet of a flow to a service.
struct Request {
    flow: Flow,
    stage: Stage,
    next: Next,
    /// It is an ICMP error about the flow.
    about: bool,
    /// Index of the service.
    service: u32,
    /// The service's flags.
    flags: u8,
    /// The service's slots.
    table: SlotTable,
}

/// What is to be done with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// The verdict is there already.
    Nothing,
    /// To answer an echo request.
    Echo,
    /// To find the flow's backend.
    Steer,
}

/// What an ICMP message is to a VIP.
enum Message {
    EchoRequest,
    Error,
    Other,
}

/// What is known of a packet on the general path. In the kernel it is in a table of its own: there
/// it needs no stack, and the verifier does not follow what each byte of it may be.
pub struct Work {
    headers: Headers,
    request: Request,
    /// What happens to the packet, once [`general`] is done.
    pub verdict: Verdict,
}

impl Work {
    /// Nothing known yet.
    pub const NEW: Self = Self {
        headers: Headers::NONE,
        request: Request::NONE,
        verdict: Verdict::Pass(Counter::PassedTruncated),
    };
}

/// Decides any packet. What `work` held does not matter.
#[inline(always)]
pub fn general<M: Maps, P: Packet>(maps: &M, packet: &P, work: &mut Work) {
    work.request.next = Next::Nothing;
    work.request.about = false;
    begin(maps, packet, work);
    let error = match work.request.next {
        Next::Nothing => return,
        Next::Echo => return answer::echo(packet, &work.headers, &mut work.verdict),
        Next::Steer => steer(maps, packet, work),
    };
    if error == answer::NOTHING {
        if work.request.about && matches!(work.verdict, Verdict::Forward(_)) {
            maps.count(Counter::ErrorSteered);
        }
    } else if work.request.about {
        // RFC 1122 §3.2.2: no error about an error.
        work.verdict = Verdict::Drop(DropReason::TooBig);
    } else {
        answer::error(maps, packet, &work.headers, error, &mut work.verdict);
    }
}

/// Reads the packet and finds its service.
#[inline(always)]
fn begin<M: Maps, P: Packet>(maps: &M, packet: &P, work: &mut Work) {
    let Work {
        headers,
        request,
        verdict,
    } = work;
    let kind = frame(packet, headers);
    match kind {
        Kind::Truncated => return *verdict = Verdict::Pass(Counter::PassedTruncated),
        Kind::NotIp => return *verdict = Verdict::Pass(Counter::PassedNotIp),
        Kind::Tagged | Kind::Ip => {}
    }
    // No VIP is v4-mapped; what is would be taken for IPv4.
    if headers.inner.v6 && headers.dst.hi == 0 {
        return *verdict = Verdict::Pass(Counter::PassedNoVip);
    }
    let fault = if kind == Kind::Tagged {
        Some(DropReason::VlanTagged)
    } else {
        headers.fault
    };
    if let Some(reason) = fault {
        return *verdict = if_vip(maps, headers, reason);
    }
    match headers.proto {
        PROTO_TCP | PROTO_UDP => client(maps, packet, headers, request, verdict),
        PROTO_ICMP if !headers.inner.v6 => icmp(maps, packet, headers, request, verdict),
        next_header::ICMP if headers.inner.v6 => icmp(maps, packet, headers, request, verdict),
        _ => *verdict = if_vip(maps, headers, DropReason::UnsupportedProtocol),
    }
}

/// Drops what is for a VIP and passes the rest.
#[inline(always)]
fn if_vip<M: Maps>(maps: &M, headers: &Headers, reason: DropReason) -> Verdict {
    if is_vip(maps, &headers.dst) {
        Verdict::Drop(reason)
    } else {
        Verdict::Pass(Counter::PassedNoVip)
    }
}

#[inline(never)]
fn is_vip<M: Maps>(maps: &M, addr: &AddrWords) -> bool {
    find(maps, *addr, ADDRESS_ONLY).is_some()
}

/// Finds the service of the request's flow.
#[inline(never)]
fn lookup<M: Maps>(maps: &M, request: &mut Request) -> bool {
    let key = tail(request.flow.vip_port, request.flow.proto);
    let Some(found) = find(maps, request.flow.vip, key) else {
        return false;
    };
    request.service = found.index;
    request.flags = found.service.flags;
    request.table = found.service.table;
    true
}

/// TCP and UDP.
#[inline(never)]
fn client<M: Maps, P: Packet>(
    maps: &M,
    packet: &P,
    headers: &Headers,
    request: &mut Request,
    verdict: &mut Verdict,
) {
    if !segment(packet, headers, request) {
        *verdict = if_vip(maps, headers, DropReason::Malformed);
    } else if !lookup(maps, request) {
        *verdict = if_vip(maps, headers, DropReason::UnservedPort);
    } else if let Some(reason) = unsound(packet, headers) {
        *verdict = Verdict::Drop(reason);
    } else {
        request.next = Next::Steer;
    }
}

/// ICMP of either version.
#[inline(never)]
fn icmp<M: Maps, P: Packet>(
    maps: &M,
    packet: &P,
    headers: &Headers,
    request: &mut Request,
    verdict: &mut Verdict,
) {
    if !is_vip(maps, &headers.dst) {
        *verdict = Verdict::Pass(Counter::PassedNoVip);
        return;
    }
    if let Some(reason) = unsound(packet, headers) {
        *verdict = Verdict::Drop(reason);
        return;
    }
    *verdict = Verdict::Drop(DropReason::Malformed);
    let Some(bytes) = packet.load::<{ Icmp::LEN }>(headers.at) else {
        return;
    };
    match message(headers, Icmp::parse(bytes)) {
        Message::EchoRequest => request.next = Next::Echo,
        Message::Error => {
            *verdict = Verdict::Drop(DropReason::UnrelatedIcmp);
            if quoted(packet, headers, request) && lookup(maps, request) {
                request.next = Next::Steer;
            }
        }
        Message::Other => *verdict = Verdict::Drop(DropReason::UnsupportedIcmp),
    }
}

#[inline(always)]
fn message(headers: &Headers, icmp: Icmp) -> Message {
    let (echo, error) = if headers.inner.v6 {
        (
            icmp.kind == icmp_v6::ECHO_REQUEST,
            // RFC 4443 §2.1: errors are below 128; four of them are defined.
            matches!(icmp.kind, icmp_v6::UNREACHABLE..=icmp_v6::PARAMETER_PROBLEM),
        )
    } else {
        (
            icmp.kind == icmp_v4::ECHO_REQUEST,
            matches!(
                icmp.kind,
                icmp_v4::UNREACHABLE | icmp_v4::TIME_EXCEEDED | icmp_v4::PARAMETER_PROBLEM
            ),
        )
    };
    if error {
        Message::Error
    } else if echo && icmp.code == 0 && headers.plain {
        Message::EchoRequest
    } else {
        Message::Other
    }
}

/// The flow of the packet that an ICMP error quotes, which went from the VIP to the client: the
/// error goes to the same backend.
#[inline(always)]
fn quoted<P: Packet>(packet: &P, headers: &Headers, request: &mut Request) -> bool {
    let mut quote = Headers::NONE;
    let at = headers.at + Icmp::LEN;
    let read = if headers.inner.v6 {
        ipv6(packet, at, &mut quote)
    } else {
        ipv4(packet, at, &mut quote)
    };
    let known = matches!(quote.proto, PROTO_TCP | PROTO_UDP);
    if !read || quote.fault.is_some() || quote.src != headers.dst || !known {
        return false;
    }
    let Some(ports) = packet.load::<4>(quote.at) else {
        return false;
    };
    request.about = true;
    request.stage = Stage::Unknown;
    request.flow = Flow {
        client: quote.dst,
        vip: quote.src,
        client_port: u16::from_ne_bytes(part::<2, _, _>(&ports)),
        vip_port: u16::from_ne_bytes(part::<0, _, _>(&ports)),
        proto: quote.proto,
    };
    true
}

/// The flow of a TCP or UDP packet whose header lies inside it.
#[inline(always)]
fn segment<P: Packet>(packet: &P, headers: &Headers, request: &mut Request) -> bool {
    let tcp = headers.proto == PROTO_TCP;
    let header = if tcp { Tcp::LEN } else { Udp::LEN };
    if headers.at + header > Ethernet::LEN + headers.inner.len {
        return false;
    }
    let Some(ports) = packet.load::<4>(headers.at) else {
        return false;
    };
    request.stage = Stage::Unknown;
    request.flow = Flow {
        client: headers.src,
        vip: headers.dst,
        client_port: u16::from_ne_bytes(part::<0, _, _>(&ports)),
        vip_port: u16::from_ne_bytes(part::<2, _, _>(&ports)),
        proto: headers.proto,
    };
    if !tcp {
        return true;
    }
    let Some(bytes) = packet.load::<{ Tcp::LEN }>(headers.at) else {
        return false;
    };
    request.stage = Stage::of(&Tcp::parse(bytes));
    true
}

impl Request {
    const NONE: Self = Self {
        flow: Flow {
            client: AddrWords { hi: 0, lo: 0 },
            vip: AddrWords { hi: 0, lo: 0 },
            client_port: 0,
            vip_port: 0,
            proto: 0,
        },
        stage: Stage::Unknown,
        next: Next::Nothing,
        about: false,
        service: 0,
        flags: 0,
        table: SlotTable::NONE,
    };
}

/// Returns the error that is to be sent, or [`answer::NOTHING`].
#[inline(never)]
fn steer<M: Maps, P: Packet>(maps: &M, packet: &P, work: &mut Work) -> u32 {
    let Work {
        headers,
        request,
        verdict,
    } = work;
    let hash = flow_hash(maps.flow_seed(), &request.flow);
    let service = (request.service, request.table);
    let stage = request.stage;
    // The stage is known, so there is always an answer.
    let id = choose(maps, service, hash, &request.flow, || Some(stage)).unwrap_or(NOBODY);
    match forward(maps, packet, headers.inner, (service.0, id, hash)) {
        Ok(forward) => *verdict = Verdict::Forward(forward),
        Err(Obstacle::Drop(reason)) => *verdict = Verdict::Drop(reason),
        Err(Obstacle::TooBig(mtu)) => return answer::TOO_BIG | mtu as u32,
        Err(Obstacle::Nobody) if request.flags & SERVICE_REFUSE != 0 => {
            return answer::UNREACHABLE;
        }
        Err(Obstacle::Nobody) => *verdict = Verdict::Drop(DropReason::NoBackend),
    }
    answer::NOTHING
}

/// Why the packet cannot travel on: the frame does not hold all of it, or it has no hops left.
#[inline(always)]
fn unsound<P: Packet>(packet: &P, headers: &Headers) -> Option<DropReason> {
    if packet.len() < Ethernet::LEN + headers.inner.len {
        return Some(DropReason::Malformed);
    }
    if headers.hops == 0 {
        return Some(DropReason::HopLimit);
    }
    None
}
