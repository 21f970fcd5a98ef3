//! Names every prefix of one family that any table holds by a `u32`, so that tables are arrays
//! and sets of prefixes are bitmaps.
//!
//! ```text
//! prefix --hash--> index (4 octets and a tag) --> keys[id] (5 or 17 octets), refs[id]
//! ```

use std::hash::Hasher;
use std::net::IpAddr;

use hashbrown::HashTable;
use types::{Family, Prefix};

use super::hash::Folded;

/// Names a prefix of one family for as long as something refers to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PrefixId(pub(crate) u32);

/// The prefixes of one family.
#[derive(Debug)]
pub(crate) enum Prefixes {
    V4(Table<5>),
    V6(Table<17>),
}

/// Keys are the address's octets and the length; `refs` of zero is a free slot.
#[derive(Debug)]
pub(crate) struct Table<const N: usize> {
    seed: u64,
    index: HashTable<u32>,
    keys: Vec<[u8; N]>,
    refs: Vec<u32>,
    free: Vec<u32>,
}

impl Prefixes {
    /// No prefixes. The seed keeps a peer from choosing prefixes that collide.
    pub(crate) fn new(family: Family, seed: u64) -> Self {
        match family {
            Family::V4 => Self::V4(Table::new(seed)),
            Family::V6 => Self::V6(Table::new(seed)),
        }
    }

    /// The name of `prefix`, and one reference more to it; `None` if it is of the other family,
    /// or if there is no name left.
    pub(crate) fn acquire(&mut self, prefix: &Prefix) -> Option<PrefixId> {
        match (self, prefix.addr()) {
            (Self::V4(table), IpAddr::V4(addr)) => table.acquire(key(addr.octets(), prefix.len())),
            (Self::V6(table), IpAddr::V6(addr)) => table.acquire(key(addr.octets(), prefix.len())),
            (Self::V4(_), IpAddr::V6(_)) | (Self::V6(_), IpAddr::V4(_)) => None,
        }
    }

    /// The name of `prefix`, if it has one.
    pub(crate) fn find(&self, prefix: &Prefix) -> Option<PrefixId> {
        match (self, prefix.addr()) {
            (Self::V4(table), IpAddr::V4(addr)) => table.find(&key(addr.octets(), prefix.len())),
            (Self::V6(table), IpAddr::V6(addr)) => table.find(&key(addr.octets(), prefix.len())),
            (Self::V4(_), IpAddr::V6(_)) | (Self::V6(_), IpAddr::V4(_)) => None,
        }
    }

    /// One reference more to a prefix that has some.
    pub(crate) fn retain(&mut self, id: PrefixId) {
        let refs = match self {
            Self::V4(table) => table.refs.get_mut(id.0 as usize),
            Self::V6(table) => table.refs.get_mut(id.0 as usize),
        };
        if let Some(refs) = refs {
            *refs += 1;
        }
    }

    /// One reference less; the last one takes the name with it.
    pub(crate) fn release(&mut self, id: PrefixId) {
        match self {
            Self::V4(table) => table.release(id),
            Self::V6(table) => table.release(id),
        }
    }

    /// The prefix of a name that is still referred to.
    pub(crate) fn get(&self, id: PrefixId) -> Option<Prefix> {
        match self {
            Self::V4(table) => table.get(id).and_then(|key| {
                let (addr, [len]) = key.split_first_chunk::<4>().and_then(whole)?;
                Prefix::containing(IpAddr::from(addr), len).ok()
            }),
            Self::V6(table) => table.get(id).and_then(|key| {
                let (addr, [len]) = key.split_first_chunk::<16>().and_then(whole)?;
                Prefix::containing(IpAddr::from(addr), len).ok()
            }),
        }
    }

    /// How many prefixes have a name.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::V4(table) => table.index.len(),
            Self::V6(table) => table.index.len(),
        }
    }
}

impl<const N: usize> Table<N> {
    fn new(seed: u64) -> Self {
        Self {
            seed,
            index: HashTable::new(),
            keys: Vec::new(),
            refs: Vec::new(),
            free: Vec::new(),
        }
    }

    fn find(&self, key: &[u8; N]) -> Option<PrefixId> {
        let found = self.index.find(hash(self.seed, key), |&id| {
            self.keys.get(id as usize) == Some(key)
        });
        found.copied().map(PrefixId)
    }

    fn acquire(&mut self, key: [u8; N]) -> Option<PrefixId> {
        let id = match self.find(&key) {
            Some(PrefixId(id)) => id,
            None => self.name(key)?,
        };
        if let Some(refs) = self.refs.get_mut(id as usize) {
            *refs += 1;
        }
        Some(PrefixId(id))
    }

    fn name(&mut self, key: [u8; N]) -> Option<u32> {
        let id = match self.free.pop() {
            Some(id) => id,
            None => {
                let id = u32::try_from(self.keys.len()).ok()?;
                self.keys.push(key);
                self.refs.push(0);
                id
            }
        };
        if let Some(slot) = self.keys.get_mut(id as usize) {
            *slot = key;
        }
        let (seed, keys) = (self.seed, &self.keys);
        self.index.insert_unique(hash(seed, &key), id, |&id| {
            keys.get(id as usize).map_or(0, |key| hash(seed, key))
        });
        Some(id)
    }

    fn release(&mut self, id: PrefixId) {
        let slot = id.0 as usize;
        let (Some(refs), Some(key)) = (self.refs.get_mut(slot), self.keys.get(slot)) else {
            return;
        };
        *refs = refs.saturating_sub(1);
        if *refs == 0
            && let Ok(entry) = self
                .index
                .find_entry(hash(self.seed, key), |&other| other == id.0)
        {
            entry.remove();
            self.free.push(id.0);
        }
    }

    fn get(&self, id: PrefixId) -> Option<&[u8; N]> {
        let slot = id.0 as usize;
        self.keys
            .get(slot)
            .filter(|_| self.refs.get(slot).is_some_and(|&refs| refs > 0))
    }
}

/// The address, then the length.
fn key<const A: usize, const N: usize>(addr: [u8; A], len: u8) -> [u8; N] {
    const { assert!(N == A + 1) };
    let mut key = [len; N];
    for (to, from) in key.iter_mut().zip(addr) {
        *to = from;
    }
    key
}

/// An address and the rest of its key, if that is one octet.
fn whole<'k, const A: usize>((addr, rest): (&'k [u8; A], &'k [u8])) -> Option<([u8; A], [u8; 1])> {
    Some((*addr, rest.try_into().ok()?))
}

fn hash(seed: u64, key: &[u8]) -> u64 {
    let mut state = Folded::new(seed);
    state.write(key);
    state.finish()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_prefix_keeps_its_name_until_the_last_reference_goes() {
        let mut prefixes = Prefixes::new(Family::V4, 1);
        let ten: Prefix = "10.0.0.0/8".parse().unwrap();

        let id = prefixes.acquire(&ten).unwrap();
        assert_eq!(prefixes.acquire(&ten), Some(id));
        prefixes.release(id);
        assert_eq!(prefixes.find(&ten), Some(id));
        prefixes.release(id);

        assert_eq!(prefixes.find(&ten), None);
        assert_eq!(prefixes.get(id), None);
        assert_eq!(prefixes.len(), 0);
    }

    #[test]
    fn the_same_address_with_two_lengths_is_two_prefixes() {
        let mut prefixes = Prefixes::new(Family::V6, 1);
        let names: BTreeSet<_> = ["::/0", "::/64", "::/128"]
            .iter()
            .map(|text| prefixes.acquire(&text.parse().unwrap()).unwrap())
            .collect();

        assert_eq!(names.len(), 3);
    }

    #[test]
    fn the_other_family_has_no_name() {
        let mut prefixes = Prefixes::new(Family::V4, 1);

        assert_eq!(prefixes.acquire(&"::/0".parse().unwrap()), None);
        assert_eq!(prefixes.find(&"::/0".parse().unwrap()), None);
    }

    proptest! {
        #[test]
        fn every_name_leads_back_to_its_prefix(bits: Vec<(u32, u8)>, seed: u64) {
            let mut prefixes = Prefixes::new(Family::V4, seed);
            let wanted: BTreeSet<Prefix> = bits
                .iter()
                .map(|&(bits, len)| {
                    Prefix::containing(std::net::Ipv4Addr::from(bits).into(), len % 33).unwrap()
                })
                .collect();

            let named: Vec<_> = wanted
                .iter()
                .map(|prefix| (prefixes.acquire(prefix).unwrap(), *prefix))
                .collect();
            for (id, prefix) in &named {
                prop_assert_eq!(prefixes.get(*id), Some(*prefix));
                prop_assert_eq!(prefixes.find(prefix), Some(*id));
            }
            for (id, _) in named {
                prefixes.release(id);
            }

            prop_assert_eq!(prefixes.len(), 0);
        }
    }
}
