//! A sparse array from a prefix's name to four octets about its route, in pages that exist only
//! where there are routes.

use std::num::NonZeroU32;

use super::prefixes::PrefixId;

/// Slots in a page of 4 KiB.
const PAGE: usize = 1024;

/// Values by the name of a prefix.
#[derive(Debug)]
pub(crate) struct Paged<T> {
    pages: Vec<Option<Box<Page<T>>>>,
    len: usize,
}

#[derive(Debug)]
struct Page<T> {
    used: u16,
    slots: [Option<T>; PAGE],
}

const _: () = assert!(size_of::<Page<NonZeroU32>>() == 4 * PAGE + 4);

impl<T> Default for Paged<T> {
    fn default() -> Self {
        Self {
            pages: Vec::new(),
            len: 0,
        }
    }
}

impl<T: Copy> Paged<T> {
    /// Sets a value, or removes it with `None`; returns what was there.
    pub(crate) fn replace(&mut self, id: PrefixId, value: Option<T>) -> Option<T> {
        let (page, slot) = position(id);
        if value.is_some() && self.pages.len() <= page {
            self.pages.resize_with(page + 1, || None);
        }
        let place = self.pages.get_mut(page)?;
        if value.is_none() && place.is_none() {
            return None;
        }
        let page = place.get_or_insert_with(|| {
            Box::new(Page {
                used: 0,
                slots: [None; PAGE],
            })
        });
        let before = std::mem::replace(page.slots.get_mut(slot)?, value);
        match (before.is_some(), value.is_some()) {
            (false, true) => {
                page.used += 1;
                self.len += 1;
            }
            (true, false) => {
                page.used -= 1;
                self.len -= 1;
            }
            (true, true) | (false, false) => {}
        }
        if page.used == 0 {
            *place = None;
        }
        before
    }

    /// A prefix's value.
    pub(crate) fn get(&self, id: PrefixId) -> Option<T> {
        let (page, slot) = position(id);
        *self.pages.get(page)?.as_ref()?.slots.get(slot)?
    }

    /// How many values there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// All values, by the name of their prefix.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (PrefixId, T)> {
        let pages = (0u32..).zip(&self.pages);
        pages.flat_map(|(number, page)| {
            let slots = page.iter().flat_map(|page| (0u32..).zip(&page.slots));
            slots.filter_map(move |(slot, value)| {
                let id = number * u32::try_from(PAGE).ok()? + slot;
                value.map(|value| (PrefixId(id), value))
            })
        })
    }

    /// Takes the last page out.
    pub(crate) fn pop_page(&mut self) -> Option<Vec<(PrefixId, T)>> {
        let page = loop {
            match self.pages.pop()? {
                Some(page) => break page,
                None => continue,
            }
        };
        self.len -= usize::from(page.used);
        let first = self.pages.len() * PAGE;
        let slots = (first..).zip(page.slots);
        Some(
            slots
                .filter_map(|(id, value)| Some((PrefixId(u32::try_from(id).ok()?), value?)))
                .collect(),
        )
    }
}

fn position(id: PrefixId) -> (usize, usize) {
    let id = id.0 as usize;
    (id / PAGE, id % PAGE)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_holds_what_a_map_would(
            steps: Vec<(prop::sample::Index, Option<NonZeroU32>)>,
        ) {
            let (mut routes, mut model) = (Paged::default(), BTreeMap::new());

            for (index, value) in steps {
                let id = PrefixId(u32::try_from(index.index(5000)).unwrap());
                let before = match value {
                    Some(value) => model.insert(id, value),
                    None => model.remove(&id),
                };
                prop_assert_eq!(routes.replace(id, value), before);
                prop_assert_eq!(routes.get(id), value);
            }

            prop_assert_eq!(routes.len(), model.len());
            prop_assert_eq!(routes.iter().collect::<BTreeMap<_, _>>(), model.clone());
            let mut popped = BTreeMap::new();
            while let Some(page) = routes.pop_page() {
                popped.extend(page);
            }
            prop_assert_eq!(popped, model);
            prop_assert_eq!(routes.len(), 0);
        }
    }
}
