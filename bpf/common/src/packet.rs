//! Bounded reads of a packet: in the kernel the packet itself, in tests and models a slice.

/// One frame, from its Ethernet header on.
pub trait Packet {
    /// `N` bytes at `AT`; `None` if they do not lie in the frame's first part.
    fn read<const AT: usize, const N: usize>(&self) -> Option<[u8; N]>;

    /// Bytes at any place; `None` if the frame ends before.
    fn load<const N: usize>(&self, at: usize) -> Option<[u8; N]>;

    /// Bytes in the frame's first part, which is all of it unless a driver keeps it in pieces.
    fn first_len(&self) -> usize;

    /// Bytes in the whole frame.
    fn len(&self) -> usize;

    /// Whether there is nothing.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Index of the interface it came from.
    fn ingress(&self) -> u32;
}

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
    fn read<const AT: usize, const N: usize>(&self) -> Option<[u8; N]> {
        self.bytes
            .get(..self.first)?
            .get(AT..)?
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
