//! A frame in memory, as tests and models have it.

use crate::access::Packet;

/// A whole frame that came from an interface.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// From the Ethernet header on.
    pub bytes: &'a [u8],
    /// Bytes in its first part; a driver may keep the rest elsewhere.
    pub first: usize,
    /// Index of the interface.
    pub ingress: u32,
}

impl Packet for Frame<'_> {
    fn read<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.bytes
            .get(..self.first)?
            .get(at..)?
            .first_chunk()
            .copied()
    }

    fn load<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.bytes.get(at..)?.first_chunk().copied()
    }

    fn first_len(&self) -> usize {
        self.first
    }

    fn len(&self) -> usize {
        self.bytes.len()
    }

    fn ingress(&self) -> u32 {
        self.ingress
    }
}
