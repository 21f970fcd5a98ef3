//! The bytes of a transfer: known to both ends, so that every one of them is checked.

/// A sequence that its seed alone decides (xorshift64).
pub(super) struct Pattern(u64);

impl Pattern {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn fill(&mut self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            for (to, from) in chunk.iter_mut().zip(self.0.to_le_bytes()) {
                *to = from;
            }
        }
    }
}

/// FNV-1a, 64 bits: enough to tell that two streams of known bytes are the same.
pub(super) struct Checksum(u64);

impl Checksum {
    pub(super) fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    pub(super) fn value(&self) -> u64 {
        self.0
    }
}

/// The checksum of a transfer that arrived whole.
pub(super) fn expected(seed: u64, blocks: usize) -> u64 {
    let mut pattern = Pattern::new(seed);
    let mut checksum = Checksum::new();
    let mut block = [0; BLOCK];
    for _ in 0..blocks {
        pattern.fill(&mut block);
        checksum.update(&block);
    }
    checksum.value()
}

/// The unit in which transfers are sent.
pub(super) const BLOCK: usize = 4096;
