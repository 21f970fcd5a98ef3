//! The frames that are sent: Ethernet, IP and a transport header, checksums left out.
//!
//! A balancer never looks at transport checksums, and the kernel's test runs look at none.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Where a frame's IPv4 source address begins.
pub(super) const SOURCE_V4: u32 = 26;

/// Where a frame's IPv4 destination address begins.
pub(super) const TARGET_V4: u32 = 30;

/// Bytes behind the headers: enough that all headers are among those that are put back.
const PAYLOAD: usize = 46;

const ACK: u8 = 0x10;
const SYN: u8 = 0x02;

/// What is above IP.
#[derive(Clone, Copy)]
pub(super) enum Transport {
    Ack,
    Syn,
    Udp,
}

/// A small IPv4 packet from a client to port 80.
pub(super) fn v4(source: Ipv4Addr, target: Ipv4Addr, transport: Transport) -> Vec<u8> {
    let above = above(transport);
    let mut frame = ethernet([0x08, 0x00]);
    let length = u16::try_from(20 + above.len()).unwrap_or(u16::MAX);
    let mut header = vec![0x45, 0];
    header.extend(length.to_be_bytes());
    header.extend([0, 0, 0x40, 0, 64, protocol(transport), 0, 0]);
    header.extend(source.octets());
    header.extend(target.octets());
    let sum = checksum(&header);
    for (to, from) in header.iter_mut().skip(10).zip(sum.to_be_bytes()) {
        *to = from;
    }
    frame.extend(header);
    frame.extend(above);
    frame
}

/// A small IPv6 packet from a client to port 80.
pub(super) fn v6(source: Ipv6Addr, target: Ipv6Addr, transport: Transport) -> Vec<u8> {
    let above = above(transport);
    let mut frame = ethernet([0x86, 0xdd]);
    frame.extend([0x60, 0, 0, 0]);
    frame.extend(u16::try_from(above.len()).unwrap_or(u16::MAX).to_be_bytes());
    frame.extend([protocol(transport), 64]);
    frame.extend(source.octets());
    frame.extend(target.octets());
    frame.extend(above);
    frame
}

fn ethernet(ether_type: [u8; 2]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    frame.extend(ether_type);
    frame
}

const fn protocol(transport: Transport) -> u8 {
    match transport {
        Transport::Ack | Transport::Syn => 6,
        Transport::Udp => 17,
    }
}

/// From port 40000 to port 80, with [`PAYLOAD`] bytes behind.
fn above(transport: Transport) -> Vec<u8> {
    let ports = [0x9c, 0x40, 0, 80];
    let mut bytes = ports.to_vec();
    match transport {
        Transport::Ack | Transport::Syn => {
            let flags = if matches!(transport, Transport::Syn) {
                SYN
            } else {
                ACK
            };
            bytes.extend([0, 0, 0, 1, 0, 0, 0, 1, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        }
        Transport::Udp => bytes.extend([0, 54, 0, 0]),
    }
    bytes.resize(bytes.len() + PAYLOAD, 0);
    bytes
}

/// RFC 1071.
fn checksum(header: &[u8]) -> u16 {
    let words = header
        .chunks_exact(2)
        .filter_map(|word| <[u8; 2]>::try_from(word).ok());
    let mut sum: u32 = words.map(|word| u32::from(u16::from_be_bytes(word))).sum();
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    !u16::try_from(sum).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_with_its_checksum_sums_to_nothing() {
        let frame = v4([10, 0, 0, 1].into(), [10, 0, 0, 2].into(), Transport::Ack);

        assert_eq!(checksum(&frame[14..34]), 0);
        assert_eq!(frame.len(), 14 + 20 + 20 + PAYLOAD);
    }
}
