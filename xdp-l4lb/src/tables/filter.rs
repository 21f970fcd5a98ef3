//! The bits of `config` that let packets for no VIP pass at once.
//!
//! A bit may be set while no entry of `vips` leads to an address with its place. It is cleared
//! before a record of such an address is written, and records come before their entries; it is set
//! again only when tables are opened, from the entries that are published then.

use std::mem::offset_of;

use xdp_l4lb_common::hash::filter_place;
use xdp_l4lb_common::layout::{Config, VipEntry, VipKey};
use xdp_l4lb_core::Readback;

use super::{ApplyError, Tables};

impl Tables {
    /// Sets every bit that may be set.
    pub(super) fn raise_filter(&mut self) -> Result<(), ApplyError> {
        let table = self.vip_table();
        let mut filter = [u64::MAX; 2];
        if !table.is_none() {
            for bucket in table.base()..=table.base().saturating_add(table.mask()) {
                let entries = self.bucket(bucket).map(VipEntry::from_word);
                for entry in entries.into_iter().filter(|entry| !entry.is_free()) {
                    filter = without(filter, &self.service(entry.service()).key);
                }
            }
        }
        self.store_filter(filter)
    }

    /// Clears the bit of an address that is to become a VIP.
    pub(super) fn lower_filter(&mut self, key: &VipKey) -> Result<(), ApplyError> {
        self.store_filter(without(self.config().no_vip, key))
    }

    fn store_filter(&mut self, filter: [u64; 2]) -> Result<(), ApplyError> {
        let before = self.config().no_vip;
        for (place, (word, before)) in filter.into_iter().zip(before).enumerate() {
            if word != before {
                self.store_config(offset_of!(Config, no_vip) + place * size_of::<u64>(), word)?;
            }
        }
        Ok(())
    }
}

/// A record that is cleared has no address, and says nothing.
fn without(mut filter: [u64; 2], key: &VipKey) -> [u64; 2] {
    let (place, bit) = filter_place(key.addr);
    if key.addr != [0; 16]
        && let Some(word) = filter.get_mut(place)
    {
        *word &= !bit;
    }
    filter
}

#[cfg(test)]
mod tests {
    use xdp_l4lb_common::layout::mapped;

    use super::*;

    #[test]
    fn an_address_clears_its_own_bit_and_no_other() {
        let addr = mapped("192.0.2.1".parse().unwrap());
        let (place, bit) = filter_place(addr);

        let filter = without([u64::MAX; 2], &VipKey::new(addr, 80, 6));

        assert_eq!(filter[place], !bit);
        assert_eq!(filter[1 - place], u64::MAX);
        assert_eq!(without(filter, &VipKey::address_only(addr)), filter);
    }

    #[test]
    fn a_cleared_record_changes_nothing() {
        let none = VipKey::address_only([0; 16]);

        assert_eq!(without([u64::MAX; 2], &none), [u64::MAX; 2]);
    }
}
