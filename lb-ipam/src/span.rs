//! Runs of addresses, as numbers.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use types::Family;

use crate::count::Count;
use crate::desired::Range;

/// The addresses from `first` to `last` of one family, both included; never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    pub(crate) family: Family,
    pub(crate) first: u128,
    pub(crate) last: u128,
}

/// A set of addresses as the fewest runs: the end of each by its family and start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Runs(BTreeMap<(Family, u128), u128>);

pub(crate) fn number(addr: IpAddr) -> (Family, u128) {
    match addr {
        IpAddr::V4(addr) => (Family::V4, u32::from(addr).into()),
        IpAddr::V6(addr) => (Family::V6, addr.into()),
    }
}

/// The reverse of [`number`].
pub(crate) fn address(family: Family, number: u128) -> IpAddr {
    match family {
        Family::V4 => {
            let number = u32::try_from(number).expect("a span of IPv4 holds numbers of 32 bits");
            Ipv4Addr::from(number).into()
        }
        Family::V6 => Ipv6Addr::from(number).into(),
    }
}

impl Span {
    /// From `first` to `last`, which are of one family and in order.
    pub(crate) fn new(first: IpAddr, last: IpAddr) -> Self {
        let (family, first) = number(first);
        let (_, last) = number(last);
        Self {
            family,
            first,
            last,
        }
    }

    /// Without its first and last address, of which there must be three or more.
    pub(crate) const fn without_ends(self) -> Self {
        Self {
            family: self.family,
            first: self.first + 1,
            last: self.last - 1,
        }
    }

    pub(crate) const fn count(self) -> Count {
        Count::between(self.first, self.last)
    }

    pub(crate) fn contains(self, addr: IpAddr) -> bool {
        let (family, number) = number(addr);
        family == self.family && (self.first..=self.last).contains(&number)
    }

    pub(crate) fn overlaps(self, other: Self) -> bool {
        self.family == other.family && self.first <= other.last && other.first <= self.last
    }

    pub(crate) fn addresses(self) -> std::ops::RangeInclusive<IpAddr> {
        address(self.family, self.first)..=address(self.family, self.last)
    }
}

impl From<Span> for Range {
    fn from(span: Span) -> Self {
        let (start, stop) = span.addresses().into_inner();
        Range::new(start, stop).expect("a span is of one family and in order")
    }
}

impl Runs {
    /// Adds an address that is not in the set.
    pub(crate) fn insert(&mut self, addr: IpAddr) {
        let (family, number) = number(addr);
        let after = number
            .checked_add(1)
            .and_then(|next| self.0.remove(&(family, next)));
        let last = after.unwrap_or(number);
        match self.run_before(family, number) {
            Some((first, end)) if end.checked_add(1) == Some(number) => {
                self.0.insert((family, first), last);
            }
            Some(_) | None => {
                self.0.insert((family, number), last);
            }
        }
    }

    /// Removes an address that is in the set.
    pub(crate) fn remove(&mut self, addr: IpAddr) {
        let (family, number) = number(addr);
        let Some((first, last)) = self.run_before(family, number) else {
            return;
        };
        self.0.remove(&(family, first));
        if first < number {
            self.0.insert((family, first), number - 1);
        }
        if number < last {
            self.0.insert((family, number + 1), last);
        }
    }

    /// The first address of `span` that is not in the set.
    pub(crate) fn first_gap(&self, span: Span) -> Option<IpAddr> {
        let free = match self.run_before(span.family, span.first) {
            Some((_, last)) if last >= span.first => last.checked_add(1)?,
            Some(_) | None => span.first,
        };
        (free <= span.last).then(|| address(span.family, free))
    }

    /// The last run that starts at or before `number`.
    fn run_before(&self, family: Family, number: u128) -> Option<(u128, u128)> {
        let (&(_, first), &last) = self.0.range((family, 0)..=(family, number)).next_back()?;
        Some((first, last))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn runs_are_a_set_and_as_few_as_can_be(flips in prop::collection::vec(0u8..24, 0..200)) {
            let mut runs = Runs::default();
            let mut model = BTreeSet::new();
            for flip in flips {
                // The two ends of the address space are where arithmetic goes wrong.
                let number = if flip < 12 { u128::from(flip) } else { u128::MAX - u128::from(flip - 12) };
                let addr = address(Family::V6, number);
                if model.insert(number) {
                    runs.insert(addr);
                } else {
                    model.remove(&number);
                    runs.remove(addr);
                }

                let starts = model.iter().filter(|n| **n == 0 || !model.contains(&(*n - 1))).count();
                prop_assert_eq!(runs.0.len(), starts);
                for first in [0, 5, u128::MAX - 6] {
                    let span = Span { family: Family::V6, first, last: first + 6 };
                    let gap = (first..=span.last).find(|n| !model.contains(n));
                    prop_assert_eq!(runs.first_gap(span), gap.map(|n| address(Family::V6, n)));
                }
            }
        }
    }

    #[test]
    fn families_do_not_run_into_each_other() {
        let mut runs = Runs::default();
        runs.insert("255.255.255.255".parse().unwrap());
        runs.insert("::".parse().unwrap());

        let last = "255.255.255.255".parse().unwrap();
        assert_eq!(runs.first_gap(Span::new(last, last)), None);
        assert_eq!(runs.0.len(), 2);
    }
}
