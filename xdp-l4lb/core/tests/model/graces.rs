//! What packets in flight may still see: nothing of it is written again before a grace is over.

use std::ops::Range;
use std::time::Duration;

use xdp_l4lb_common::layout::{ServiceRecord, SlotTable, VipEntry, VipTable};
use xdp_l4lb_core::{GRACE, Readback, Step};

use crate::kernel::Kernel;

/// What was unpublished, and when.
#[derive(Default)]
pub(crate) struct Graces(Vec<(Place, Duration)>);

#[derive(Debug)]
enum Place {
    Slots(Range<u32>),
    Service(u32),
    Buckets(Range<u32>),
}

impl Graces {
    /// Checks a step before it is carried out, and notes what it unpublishes.
    pub(crate) fn check(&mut self, now: Duration, kernel: &Kernel, step: &Step) {
        self.0.retain(|(_, at)| now < *at + GRACE);
        match step {
            Step::WriteSlots { base, words, .. } => {
                let len = u32::try_from(words.len()).unwrap();
                self.assert_unseen(kernel, &Place::Slots(*base..base + len));
            }
            Step::WriteVips { base, buckets } => {
                let len = u32::try_from(buckets.len()).unwrap();
                self.assert_unseen(kernel, &Place::Buckets(*base..base + len));
            }
            Step::WriteService { index, .. } => {
                self.assert_unseen(kernel, &Place::Service(*index));
            }
            Step::StoreTable { index, .. } => {
                let old = SlotTable::from_word(kernel.service(*index).table);
                self.0.push((slots_of(old), now));
            }
            Step::StoreVipTable(_) => self.0.push((buckets_of(kernel.vip_table()), now)),
            Step::StoreVip { bucket, entry, .. } => {
                let old = VipEntry::from_word(kernel.bucket(*bucket)[usize::from(*entry)]);
                let table = SlotTable::from_word(kernel.service(old.service()).table);
                self.0.push((Place::Service(old.service()), now));
                self.0.push((slots_of(table), now));
            }
            Step::StoreServiceFlags { .. }
            | Step::StoreSlots { .. }
            | Step::WriteBackend { .. }
            | Step::StoreBackendMode { .. }
            | Step::StoreNextHop { .. }
            | Step::StoreEpoch(_)
            | Step::DeleteFlows(_)
            | Step::ScanFlows
            | Step::VipReady(_)
            | Step::VipNotReady(_)
            | Step::Resolve(_)
            | Step::Forget(_) => {}
        }
    }

    fn assert_unseen(&self, kernel: &Kernel, place: &Place) {
        for (other, at) in &self.0 {
            assert!(!overlap(place, other), "{place:?} was left at {at:?}");
        }
        for record in published(kernel) {
            let table = SlotTable::from_word(kernel.service(record).table);
            assert!(!overlap(place, &Place::Service(record)), "{place:?}");
            assert!(!overlap(place, &slots_of(table)), "{place:?} of {record}");
        }
        assert!(
            !overlap(place, &buckets_of(kernel.vip_table())),
            "{place:?}"
        );
    }
}

/// The records that packets can find.
fn published(kernel: &Kernel) -> Vec<u32> {
    let Place::Buckets(buckets) = buckets_of(kernel.vip_table()) else {
        return Vec::new();
    };
    let words = buckets.flat_map(|bucket| kernel.bucket(bucket));
    let entries = words.map(VipEntry::from_word);
    let published = entries.filter(|entry| {
        let record: ServiceRecord = kernel.service(entry.service());
        !entry.is_free() && record.key.addr != [0; 16]
    });
    published.map(VipEntry::service).collect()
}

fn slots_of(table: SlotTable) -> Place {
    Place::Slots(if table.is_none() {
        0..0
    } else {
        table.base()..table.base() + table.len()
    })
}

fn buckets_of(table: VipTable) -> Place {
    Place::Buckets(if table.is_none() {
        0..0
    } else {
        table.base()..table.base() + table.mask() + 1
    })
}

fn overlap(one: &Place, other: &Place) -> bool {
    match (one, other) {
        (Place::Slots(one), Place::Slots(other)) | (Place::Buckets(one), Place::Buckets(other)) => {
            one.start < other.end && other.start < one.end
        }
        (Place::Service(one), Place::Service(other)) => one == other,
        (Place::Slots(_) | Place::Buckets(_) | Place::Service(_), _) => false,
    }
}
