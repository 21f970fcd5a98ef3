//! Packets that clients and routers send.

use std::net::IpAddr;

use wire::{
    Checksum, Ethernet, Icmp, Ipv4, Ipv6, Tcp, Udp, ethertype, next_header, pseudo_v4, pseudo_v6,
};

/// The router that packets come from.
pub(crate) const ROUTER: [u8; 6] = [2, 0, 0, 0, 0, 0xaa];
/// The balancer's own interface.
pub(crate) const OURS: [u8; 6] = [2, 0, 0, 0, 0, 0xe1];

/// The start of a packet: from where, to where, and what is odd about it.
#[derive(Clone, Debug)]
pub(crate) struct From<'a> {
    pub(crate) src: &'a str,
    pub(crate) dst: &'a str,
    pub(crate) traffic_class: u8,
    pub(crate) hops: u8,
    /// IPv4's fragment field.
    pub(crate) fragment: u16,
    /// IPv4 options: a multiple of four bytes.
    pub(crate) options: Vec<u8>,
    /// IPv6 extension headers, and the first one's kind.
    pub(crate) extensions: (u8, Vec<u8>),
}

/// A packet between two addresses with nothing odd about it.
pub(crate) fn between<'a>(src: &'a str, dst: &'a str) -> From<'a> {
    From {
        src,
        dst,
        traffic_class: 0,
        hops: 61,
        fragment: Ipv4::DONT_FRAGMENT,
        options: Vec::new(),
        extensions: (0, Vec::new()),
    }
}

impl From<'_> {
    /// TCP with a payload.
    pub(crate) fn tcp(&self, ports: (u16, u16), flags: u8, seq: u32, payload: &[u8]) -> Vec<u8> {
        let mut segment = Tcp {
            src_port: ports.0,
            dst_port: ports.1,
            seq,
            ack: 1,
            header_len: 20,
            flags,
            window: 1000,
            checksum: [0; 2],
            urgent: 0,
        }
        .write()
        .to_vec();
        segment.extend(payload);
        self.seal(6, &mut segment, 16);
        self.frame(6, &segment)
    }

    /// UDP with a payload.
    pub(crate) fn udp(&self, ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
        let mut datagram = Udp {
            src_port: ports.0,
            dst_port: ports.1,
            len: u16::try_from(8 + payload.len()).unwrap(),
            checksum: [0; 2],
        }
        .write()
        .to_vec();
        datagram.extend(payload);
        self.seal(17, &mut datagram, 6);
        self.frame(17, &datagram)
    }

    /// ICMP of the family's version.
    pub(crate) fn icmp(&self, kind: u8, code: u8, rest: [u8; 4], payload: &[u8]) -> Vec<u8> {
        let mut message = Icmp {
            kind,
            code,
            checksum: [0; 2],
            rest,
        }
        .write()
        .to_vec();
        message.extend(payload);
        let proto = if self.is_v6() { next_header::ICMP } else { 1 };
        self.seal(proto, &mut message, 2);
        self.frame(proto, &message)
    }

    /// The IP packet in an Ethernet frame.
    pub(crate) fn frame(&self, proto: u8, payload: &[u8]) -> Vec<u8> {
        let ethernet = Ethernet {
            dst: OURS,
            src: ROUTER,
            ethertype: if self.is_v6() {
                ethertype::IPV6
            } else {
                ethertype::IPV4
            },
        };
        let mut frame = ethernet.write().to_vec();
        match (self.src.parse().unwrap(), self.dst.parse().unwrap()) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                let header = 20 + self.options.len();
                let mut ip = Ipv4 {
                    traffic_class: self.traffic_class,
                    header_len: 20,
                    total_len: u16::try_from(header + payload.len()).unwrap(),
                    id: 0x4242,
                    fragment: self.fragment,
                    ttl: self.hops,
                    proto,
                    checksum: [0; 2],
                    src: src.octets(),
                    dst: dst.octets(),
                }
                .write()
                .to_vec();
                ip[0] = 0x40 | u8::try_from(header / 4).unwrap();
                ip.extend(&self.options);
                ip[10..12].fill(0);
                let sum = Checksum::EMPTY.bytes(&ip).finish();
                ip[10..12].copy_from_slice(&sum);
                frame.extend(ip);
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                let (first, extensions) = &self.extensions;
                let ip = Ipv6 {
                    traffic_class: self.traffic_class,
                    flow_label: 0x12345,
                    payload_len: u16::try_from(extensions.len() + payload.len()).unwrap(),
                    next_header: if extensions.is_empty() { proto } else { *first },
                    hop_limit: self.hops,
                    src: src.octets(),
                    dst: dst.octets(),
                };
                frame.extend(ip.write());
                frame.extend(extensions);
            }
            _ => panic!("addresses of two families"),
        }
        frame.extend(payload);
        frame
    }

    /// With an IPv6 extension header of `kind` and eight bytes in front of `proto`.
    pub(crate) fn extended(mut self, kind: u8, proto: u8) -> Self {
        self.extensions = (kind, vec![proto, 0, 0, 0, 0, 0, 0, 0]);
        self
    }

    fn is_v6(&self) -> bool {
        self.src.contains(':')
    }

    /// Puts the checksum into a transport header.
    fn seal(&self, proto: u8, bytes: &mut [u8], at: usize) {
        let len = bytes.len();
        let pseudo = match (self.src.parse().unwrap(), self.dst.parse().unwrap()) {
            (IpAddr::V4(_), IpAddr::V4(_)) if proto == 1 => Checksum::EMPTY,
            (IpAddr::V4(src), IpAddr::V4(dst)) => pseudo_v4(
                src.octets(),
                dst.octets(),
                proto,
                u16::try_from(len).unwrap(),
            ),
            (IpAddr::V6(src), IpAddr::V6(dst)) => pseudo_v6(
                src.octets(),
                dst.octets(),
                proto,
                u32::try_from(len).unwrap(),
            ),
            _ => panic!("addresses of two families"),
        };
        let sum = pseudo.bytes(bytes).finish();
        bytes[at..at + 2].copy_from_slice(&sum);
    }
}

/// The frame's IP packet, without its Ethernet header.
pub(crate) fn ip_of(frame: &[u8]) -> &[u8] {
    &frame[14..]
}

/// The frame with `tags` VLAN tags.
pub(crate) fn tagged(frame: &[u8], tags: usize) -> Vec<u8> {
    let mut out = frame[..12].to_vec();
    for tag in 0..tags {
        let kind = if tag + 1 < tags {
            ethertype::PROVIDER_VLAN
        } else {
            ethertype::VLAN
        };
        out.extend(kind.to_be_bytes());
        out.extend([0, 5]);
    }
    out.extend(&frame[12..]);
    out
}
