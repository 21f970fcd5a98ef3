//! Numbers of addresses.

use std::fmt;
use std::ops::{Add, Sub};

/// The largest power of ten in a u64.
const CHUNK: u64 = 10_000_000_000_000_000_000;

/// A number of addresses. The IPv6 address space alone has one more than a u128 holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Count {
    /// In units of 2^128.
    carry: u64,
    low: u128,
}

impl Count {
    /// How many numbers there are from `first` to `last`, both included.
    pub(crate) const fn between(first: u128, last: u128) -> Self {
        let (low, carried) = last.wrapping_sub(first).overflowing_add(1);
        Self {
            carry: carried as u64,
            low,
        }
    }

    /// As a number, if a u128 holds it.
    #[must_use]
    pub const fn as_u128(self) -> Option<u128> {
        if self.carry == 0 {
            Some(self.low)
        } else {
            None
        }
    }
}

impl From<u64> for Count {
    fn from(number: u64) -> Self {
        Self {
            carry: 0,
            low: number.into(),
        }
    }
}

impl Add for Count {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let (low, carried) = self.low.overflowing_add(other.low);
        Self {
            carry: self.carry + other.carry + u64::from(carried),
            low,
        }
    }
}

impl Sub for Count {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        let (low, borrowed) = self.low.overflowing_sub(other.low);
        Self {
            carry: self.carry - other.carry - u64::from(borrowed),
            low,
        }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (high, chunk) = self.split_chunk();
        if high == Self::default() {
            return fmt::Display::fmt(&chunk, f);
        }
        write!(f, "{high}{chunk:019}")
    }
}

impl Count {
    /// Quotient and remainder by [`CHUNK`]: long division, a limb of 64 bits at a time.
    fn split_chunk(self) -> (Self, u64) {
        let step = |rest: u64, limb: u64| {
            let value = u128::from(rest) << 64 | u128::from(limb);
            (
                value / u128::from(CHUNK),
                low_u64(value % u128::from(CHUNK)),
            )
        };
        let (carry, rest) = step(0, self.carry);
        let (high, rest) = step(rest, low_u64(self.low >> 64));
        let (low, rest) = step(rest, low_u64(self.low));
        let quotient = Self {
            carry: low_u64(carry),
            low: high << 64 | low,
        };
        (quotient, rest)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the low half is what is asked for"
)]
const fn low_u64(value: u128) -> u64 {
    value as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_64_has_18446744073709551616_addresses() {
        assert_eq!(
            Count::between(0, u128::from(u64::MAX)).to_string(),
            "18446744073709551616"
        );
    }

    #[test]
    fn the_whole_address_space_is_counted() {
        let all = Count::between(0, u128::MAX);

        assert_eq!(all.to_string(), "340282366920938463463374607431768211456");
        assert_eq!(all.as_u128(), None);
        assert_eq!(
            (all + Count::from(4_294_967_296) - Count::from(1)).to_string(),
            "340282366920938463463374607436063178751"
        );
        assert_eq!((all - Count::from(1)).as_u128(), Some(u128::MAX));
    }

    proptest! {
        #[test]
        fn a_count_prints_as_the_number_it_is(number: u128) {
            prop_assert_eq!((Count { carry: 0, low: number }).to_string(), number.to_string());
        }

        #[test]
        fn what_is_added_can_be_taken_away(a: (u8, u128), b: (u8, u128)) {
            let [a, b] = [a, b].map(|(carry, low)| Count { carry: carry.into(), low });

            prop_assert_eq!(a + b - b, a);
        }
    }
}
