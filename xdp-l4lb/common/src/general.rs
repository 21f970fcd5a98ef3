//! Any packet: options and extension headers, frames in pieces, ICMP, and all that is dropped or
//! answered.

use bpf_common::{DropReason, Packet};
use wire::{Ethernet, Icmp, Tcp, VlanTag, ethertype, icmp_v4, icmp_v6, next_header};

use crate::access::{Maps, Service};
use crate::answer::{self, Ask};
use crate::forward::{Obstacle, forward};
use crate::hash::{Flow, flow_hash};
use crate::headers::{Headers, Transport, ipv4, ipv6};
use crate::layout::{Counter, PROTO_ICMP, PROTO_TCP, PROTO_UDP, SERVICE_REFUSE};
use crate::lookup::{ADDRESS_ONLY, Found, find, tail};
use crate::steer::{Stage, choose};
use crate::verdict::Verdict;

/// VLAN tags that are looked behind.
const TAGS: usize = 2;

/// A flow, where a packet says it is, and whose packets those are.
struct Part {
    flow: Flow,
    stage: Stage,
}

/// Decides any packet.
#[inline(always)]
pub fn general(maps: &impl Maps, packet: &impl Packet) -> Verdict {
    let Some(header) = packet.load::<{ Ethernet::LEN }>(0) else {
        return Verdict::Pass(Counter::PassedTruncated);
    };
    let ethernet = Ethernet::parse(header);
    let mut ethertype = ethernet.ethertype;
    let mut at = Ethernet::LEN;
    for _ in 0..TAGS {
        if !matches!(ethertype, ethertype::VLAN | ethertype::PROVIDER_VLAN) {
            break;
        }
        let Some(tag) = packet.load::<{ VlanTag::LEN }>(at) else {
            return Verdict::Pass(Counter::PassedTruncated);
        };
        ethertype = VlanTag::parse(tag).ethertype;
        at += VlanTag::LEN;
    }
    let headers = match ethertype {
        ethertype::IPV4 => ipv4(packet, at),
        ethertype::IPV6 => ipv6(packet, at),
        _ => return Verdict::Pass(Counter::PassedNotIp),
    };
    let Some(headers) = headers else {
        return Verdict::Pass(Counter::PassedTruncated);
    };
    // No VIP is v4-mapped; what is would be taken for IPv4.
    if headers.inner.v6 && headers.dst.hi == 0 {
        return Verdict::Pass(Counter::PassedNoVip);
    }
    if at > Ethernet::LEN {
        return if_vip(maps, &headers, DropReason::VlanTagged);
    }
    deliver(maps, packet, &ethernet, &headers)
}

/// Drops what is for a VIP and passes the rest.
#[inline(always)]
fn if_vip(maps: &impl Maps, headers: &Headers, reason: DropReason) -> Verdict {
    match find(maps, headers.dst, ADDRESS_ONLY) {
        Some(_) => Verdict::Drop(reason),
        None => Verdict::Pass(Counter::PassedNoVip),
    }
}

#[inline(always)]
fn deliver(
    maps: &impl Maps,
    packet: &impl Packet,
    ethernet: &Ethernet,
    headers: &Headers,
) -> Verdict {
    let transport = match headers.transport {
        Ok(transport) => transport,
        Err(reason) => return if_vip(maps, headers, reason),
    };
    let reason = match transport.proto {
        PROTO_TCP | PROTO_UDP => match part(packet, headers, transport) {
            Some(part) => {
                if let Some(found) = find(maps, headers.dst, key_tail(&part.flow)) {
                    return served(maps, packet, ethernet, headers, found, &part);
                }
                DropReason::UnservedPort
            }
            None => DropReason::Malformed,
        },
        PROTO_ICMP if !headers.inner.v6 => {
            return icmp(maps, packet, ethernet, headers, transport);
        }
        next_header::ICMP if headers.inner.v6 => {
            return icmp(maps, packet, ethernet, headers, transport);
        }
        _ => DropReason::UnsupportedProtocol,
    };
    if_vip(maps, headers, reason)
}

/// A client's packet for a service.
#[inline(always)]
fn served(
    maps: &impl Maps,
    packet: &impl Packet,
    ethernet: &Ethernet,
    headers: &Headers,
    found: Found,
    part: &Part,
) -> Verdict {
    if let Err(reason) = sound(packet, headers) {
        return Verdict::Drop(reason);
    }
    match steer(maps, packet, ethernet, headers, found, part) {
        Ok(verdict) => verdict,
        Err(Obstacle::Drop(reason)) => Verdict::Drop(reason),
        Err(Obstacle::Nobody) => refuse(maps, packet, ethernet, headers, found.service),
        Err(Obstacle::TooBig(mtu)) => {
            answer::error(maps, packet, ethernet, headers, Ask::TooBig(mtu))
        }
    }
}

#[inline(always)]
fn refuse(
    maps: &impl Maps,
    packet: &impl Packet,
    ethernet: &Ethernet,
    headers: &Headers,
    service: Service,
) -> Verdict {
    if service.flags & SERVICE_REFUSE == 0 {
        return Verdict::Drop(DropReason::NoBackend);
    }
    answer::error(maps, packet, ethernet, headers, Ask::Unreachable)
}

#[inline(always)]
fn steer(
    maps: &impl Maps,
    packet: &impl Packet,
    ethernet: &Ethernet,
    headers: &Headers,
    found: Found,
    part: &Part,
) -> Result<Verdict, Obstacle> {
    let hash = flow_hash(maps.flow_seed(), &part.flow);
    let table = found.service.table;
    let id = choose(maps, found.index, table, hash, &part.flow, part.stage);
    let to = (found.index, id, hash);
    forward(maps, packet, ethernet.src, headers.inner, to).map(Verdict::Forward)
}

/// ICMP of either version.
#[inline(always)]
fn icmp(
    maps: &impl Maps,
    packet: &impl Packet,
    ethernet: &Ethernet,
    headers: &Headers,
    transport: Transport,
) -> Verdict {
    if find(maps, headers.dst, ADDRESS_ONLY).is_none() {
        return Verdict::Pass(Counter::PassedNoVip);
    }
    if let Err(reason) = sound(packet, headers) {
        return Verdict::Drop(reason);
    }
    let Some(bytes) = packet.load::<{ Icmp::LEN }>(transport.at) else {
        return Verdict::Drop(DropReason::Malformed);
    };
    let icmp = Icmp::parse(bytes);
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
    if echo && icmp.code == 0 && headers.plain {
        return answer::echo(packet, ethernet, headers, icmp);
    }
    if error {
        return about_a_flow(maps, packet, ethernet, headers, transport.at + Icmp::LEN);
    }
    Verdict::Drop(DropReason::UnsupportedIcmp)
}

/// An ICMP error goes where the packet it quotes came from: to the backend of that flow.
#[inline(always)]
fn about_a_flow(
    maps: &impl Maps,
    packet: &impl Packet,
    ethernet: &Ethernet,
    headers: &Headers,
    quote: usize,
) -> Verdict {
    let unrelated = Verdict::Drop(DropReason::UnrelatedIcmp);
    let quoted = if headers.inner.v6 {
        ipv6(packet, quote)
    } else {
        ipv4(packet, quote)
    };
    let Some(quoted) = quoted else {
        return unrelated;
    };
    let Ok(transport) = quoted.transport else {
        return unrelated;
    };
    if quoted.src != headers.dst || !matches!(transport.proto, PROTO_TCP | PROTO_UDP) {
        return unrelated;
    }
    let Some([s0, s1, d0, d1]) = packet.load::<4>(transport.at) else {
        return unrelated;
    };
    // The quoted packet went from the VIP to the client.
    let part = Part {
        flow: Flow {
            client: quoted.dst,
            vip: quoted.src,
            client_port: u16::from_ne_bytes([d0, d1]),
            vip_port: u16::from_ne_bytes([s0, s1]),
            proto: transport.proto,
        },
        stage: Stage::Unknown,
    };
    let Some(found) = find(maps, part.flow.vip, key_tail(&part.flow)) else {
        return unrelated;
    };
    match steer(maps, packet, ethernet, headers, found, &part) {
        Ok(verdict) => {
            maps.count(Counter::ErrorSteered);
            verdict
        }
        Err(Obstacle::Drop(reason)) => Verdict::Drop(reason),
        Err(Obstacle::Nobody) => Verdict::Drop(DropReason::NoBackend),
        // RFC 1122 §3.2.2: no error about an error.
        Err(Obstacle::TooBig(_)) => Verdict::Drop(DropReason::TooBig),
    }
}

/// Whether the frame holds the whole packet, and it may still travel.
#[inline(always)]
fn sound(packet: &impl Packet, headers: &Headers) -> Result<(), DropReason> {
    if packet.len() < Ethernet::LEN + headers.inner.len {
        return Err(DropReason::Malformed);
    }
    if headers.hops == 0 {
        return Err(DropReason::HopLimit);
    }
    Ok(())
}

/// Ports and stage out of a TCP or UDP header that lies inside the packet.
#[inline(always)]
fn part(packet: &impl Packet, headers: &Headers, transport: Transport) -> Option<Part> {
    let tcp = transport.proto == PROTO_TCP;
    let header = if tcp { Tcp::LEN } else { wire::Udp::LEN };
    if transport.at + header > Ethernet::LEN + headers.inner.len {
        return None;
    }
    let [s0, s1, d0, d1, ..] = packet.load::<8>(transport.at)?;
    let stage = if tcp {
        let tcp = Tcp::parse(packet.load(transport.at)?);
        if tcp.opens() {
            Stage::Opening(tcp.seq)
        } else {
            Stage::Going(tcp.seq)
        }
    } else {
        Stage::Unknown
    };
    Some(Part {
        flow: Flow {
            client: headers.src,
            vip: headers.dst,
            client_port: u16::from_ne_bytes([s0, s1]),
            vip_port: u16::from_ne_bytes([d0, d1]),
            proto: transport.proto,
        },
        stage,
    })
}

#[inline(always)]
const fn key_tail(flow: &Flow) -> u32 {
    tail(flow.vip_port, flow.proto)
}
