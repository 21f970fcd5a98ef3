//! What is exported: the table that UPDATEs are packed from at the moment they are sent.

use std::num::NonZeroU32;
use std::time::Duration;

use super::attrs::AttrId;
use super::bits::{Bits, block_of};
use super::paged::Paged;
use super::prefixes::PrefixId;

/// The routes of one export and one family.
#[derive(Debug, Default)]
pub(crate) struct Export {
    /// One reference to the prefix and one to the attributes for each route.
    pub(crate) routes: Paged<AttrId>,
    /// The prefixes that have a route.
    pub(crate) present: Bits,
    since: Paged<Seconds>,
    versions: Vec<u64>,
}

/// Whole seconds since the zero of the speaker's time, and one.
#[derive(Clone, Copy, Debug)]
struct Seconds(NonZeroU32);

impl Export {
    /// Sets a route, or removes it with `None`; returns what was there.
    pub(crate) fn replace(
        &mut self,
        now: Duration,
        id: PrefixId,
        attr: Option<AttrId>,
    ) -> Option<AttrId> {
        let before = self.routes.replace(id, attr);
        if before != attr {
            self.since.replace(id, attr.map(|_| Seconds::of(now)));
            self.touch(block_of(id) as usize);
        }
        if attr.is_some() {
            self.present.insert(id);
        } else {
            self.present.remove(id);
        }
        before
    }

    /// When the route became what it is.
    pub(crate) fn since(&self, id: PrefixId) -> Option<Duration> {
        let Seconds(seconds) = self.since.get(id)?;
        Some(Duration::from_secs(u64::from(seconds.get()) - 1))
    }

    /// Differs after every change to a route of the block.
    pub(crate) fn version(&self, block: u32) -> u64 {
        self.versions.get(block as usize).copied().unwrap_or(0)
    }

    fn touch(&mut self, block: usize) {
        if self.versions.len() <= block {
            self.versions.resize(block + 1, 0);
        }
        if let Some(version) = self.versions.get_mut(block) {
            *version += 1;
        }
    }
}

impl Seconds {
    fn of(now: Duration) -> Self {
        let seconds = u32::try_from(now.as_secs()).unwrap_or(u32::MAX);
        Self(NonZeroU32::MIN.saturating_add(seconds))
    }
}
