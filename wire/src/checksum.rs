//! The Internet checksum (RFC 1071) and its update in place (RFC 1624).

use crate::array::part;

/// A sum of 16-bit words in the making.
///
/// Words are added as they lie in memory: the sum does not care, and the result is bytes again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checksum(u64);

impl Checksum {
    /// Nothing summed yet.
    pub const EMPTY: Self = Self(0);

    /// With two more bytes.
    #[must_use]
    #[inline(always)]
    pub const fn word(self, bytes: [u8; 2]) -> Self {
        Self(self.0 + u16::from_ne_bytes(bytes) as u64)
    }

    /// With a number more, in network order.
    #[must_use]
    #[inline(always)]
    pub const fn number(self, number: u16) -> Self {
        self.word(number.to_be_bytes())
    }

    /// With four more bytes.
    #[must_use]
    #[inline(always)]
    pub const fn double(self, bytes: [u8; 4]) -> Self {
        Self(self.0 + u32::from_ne_bytes(bytes) as u64)
    }

    /// With an IPv6 address more.
    #[must_use]
    #[inline(always)]
    pub const fn addr(self, addr: [u8; 16]) -> Self {
        self.double(part::<0, _, _>(&addr))
            .double(part::<4, _, _>(&addr))
            .double(part::<8, _, _>(&addr))
            .double(part::<12, _, _>(&addr))
    }

    /// With `bytes` more; a last odd one is followed by a zero.
    #[must_use]
    pub fn bytes(self, bytes: &[u8]) -> Self {
        let (words, rest) = bytes.as_chunks::<2>();
        let sum = words.iter().fold(self, |sum, &word| sum.word(word));
        match rest {
            [last, ..] => sum.word([*last, 0]),
            [] => sum,
        }
    }

    /// With a checksum field that is to be replaced, so that what it covered stays in the sum.
    #[must_use]
    #[inline(always)]
    pub const fn covered(self, checksum: [u8; 2]) -> Self {
        let [a, b] = checksum;
        self.word([!a, !b])
    }

    /// With another sum.
    #[must_use]
    #[inline(always)]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }

    /// The field's bytes.
    #[must_use]
    #[inline(always)]
    pub const fn finish(self) -> [u8; 2] {
        let sum = (self.0 & 0xffff_ffff) + (self.0 >> 32);
        let sum = (sum & 0xffff) + (sum >> 16);
        let sum = (sum & 0xffff) + (sum >> 16);
        let sum = (sum & 0xffff) + (sum >> 16);
        let [low, high, ..] = (!sum).to_le_bytes();
        u16::from_le_bytes([low, high]).to_ne_bytes()
    }
}

/// The checksum `checksum` once one of the words it covers went from `old` to `new`.
///
/// RFC 1624 §3, equation 3, which never turns a field to minus zero.
#[must_use]
#[inline(always)]
pub const fn replaced(checksum: [u8; 2], old: [u8; 2], new: [u8; 2]) -> [u8; 2] {
    let [a, b] = old;
    Checksum::EMPTY
        .covered(checksum)
        .word([!a, !b])
        .word(new)
        .finish()
}

/// The pseudo header of TCP and UDP over IPv4 (RFC 9293 §3.1).
#[must_use]
pub const fn pseudo_v4(src: [u8; 4], dst: [u8; 4], proto: u8, len: u16) -> Checksum {
    Checksum::EMPTY
        .double(src)
        .double(dst)
        .word([0, proto])
        .number(len)
}

/// The pseudo header of upper layers over IPv6 (RFC 8200 §8.1).
#[must_use]
#[inline(always)]
pub const fn pseudo_v6(src: [u8; 16], dst: [u8; 16], proto: u8, len: u32) -> Checksum {
    Checksum::EMPTY
        .addr(src)
        .addr(dst)
        .double(len.to_be_bytes())
        .word([0, proto])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_sum_is_what_another_implementation_computes(
            bytes in prop::collection::vec(any::<u8>(), 1..100),
        ) {
            let mut even = bytes.clone();
            if even.len() % 2 == 1 {
                even.push(0);
            }

            let theirs = pnet_packet::util::checksum(&even, usize::MAX);

            prop_assert_eq!(Checksum::EMPTY.bytes(&bytes).finish(), theirs.to_be_bytes());
        }

        #[test]
        fn an_update_in_place_equals_a_new_sum(
            mut words in prop::collection::vec(any::<[u8; 2]>(), 2..40), at: prop::sample::Index, new: [u8; 2],
        ) {
            // A header is never all zeros, where the two representations of zero would differ.
            words.push([0x45, 0]);
            let before = Checksum::EMPTY.bytes(words.as_flattened()).finish();
            let place = at.index(words.len() - 1);
            let old = core::mem::replace(&mut words[place], new);

            let after = Checksum::EMPTY.bytes(words.as_flattened()).finish();

            prop_assert_eq!(replaced(before, old, new), after);
        }

        #[test]
        fn pseudo_headers_agree(src: [u8; 16], dst: [u8; 16], proto: u8, len: u16) {
            let mut v6 = Vec::from(src);
            v6.extend(dst);
            v6.extend(u32::from(len).to_be_bytes());
            v6.extend([0, 0, 0, proto]);
            let v4 = [src[0], src[1], src[2], src[3], dst[0], dst[1], dst[2], dst[3], 0, proto];

            prop_assert_eq!(
                pseudo_v6(src, dst, proto, u32::from(len)).finish(),
                Checksum::EMPTY.bytes(&v6).finish()
            );
            prop_assert_eq!(
                pseudo_v4(*src.first_chunk().unwrap(), *dst.first_chunk().unwrap(), proto, len).finish(),
                Checksum::EMPTY.bytes(&v4).number(len).finish()
            );
        }
    }

    #[test]
    fn the_example_of_rfc_1624_comes_out_right() {
        // RFC 1624 §4: 0xdd2f, a word goes from 0x5555 to 0x3285, and the sum is 0x0000.
        assert_eq!(replaced([0xdd, 0x2f], [0x55, 0x55], [0x32, 0x85]), [0, 0]);
    }
}
