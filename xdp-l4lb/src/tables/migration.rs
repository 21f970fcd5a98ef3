//! Takes over the tables of version 0, whose slots were two half words and whose flows had no age.
//!
//! ```text
//! version 0   slots [ current:32 | OPEN:1 previous:31 ]   flows { backend, isn }
//! version 1   slots [ OPEN:1 | 0:1 | previous:31 | current:31 ]
//!                                          flows { backend, isn, seen, confirmed }
//! ```
//!
//! All other tables are the same in both. Counters start again.

use std::cell::RefCell;
use std::collections::HashMap;
use std::error::Error;

use bpf_common::Layout;
use bpf_user::{
    Conversion, MapError, MapKind, MapSpec, MappedArray, OutOfRange, PinDir, Table, TableError,
};
use xdp_l4lb_common::layout::{
    BackendRecord, Bucket, Config, FlowKey, FlowState, Link, ServiceRecord, Slot, maps,
};

use super::spec::{Device, Sizes, Specs};

/// The highest bit of a half word.
const OPEN: u32 = 1 << 31;

/// A slot of version 0: current, then previous with `OPEN`.
pub(crate) type SlotPair = [u32; 2];
/// A flow of version 0: backend and initial sequence number.
pub(crate) type BareFlow = [u32; 2];

/// From version 0.
#[derive(Debug, Default)]
pub(crate) struct FromZero {
    /// What was copied while the old program ran.
    copied: RefCell<HashMap<FlowKey, BareFlow>>,
}

/// A table could not be taken over.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// A table is not there or not as expected.
    #[error(transparent)]
    Map(#[from] MapError),
    /// The old table is larger than the new one.
    #[error(transparent)]
    OutOfRange(#[from] OutOfRange),
    /// The kernel refused.
    #[error(transparent)]
    Table(#[from] TableError),
}

impl Conversion for FromZero {
    fn from(&self) -> u32 {
        0
    }

    fn copy(&self, old: &PinDir, new: &PinDir) -> Result<(), Box<dyn Error + Send + Sync>> {
        copy_tables(old, new)?;
        self.copy_flows(old, new)?;
        Ok(())
    }

    /// The old program went on to remember flows and to touch slots until its links were switched.
    fn catch_up(&self, old: &PinDir, new: &PinDir) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.copy_flows(old, new)?;
        catch_up_touched(old, new)?;
        Ok(())
    }
}

impl FromZero {
    fn copy_flows(&self, old: &PinDir, new: &PinDir) -> Result<(), ConvertError> {
        let specs = Specs::new(&Sizes::default());
        let before = MapSpec::new::<FlowKey, BareFlow>(maps::FLOWS, MapKind::Hash, 0);
        let from = Table::<FlowKey, BareFlow>::open(&before.as_pinned(old)?, old)?;
        let mut to = Table::<FlowKey, FlowState>::open(&specs.flows.as_pinned(new)?, new)?;
        let epoch = MappedArray::<Config>::open_read_only(&specs.config, new)?
            .load(0)?
            .epoch;
        let mut cursor = None;
        loop {
            let batch = from.batch(cursor, 4096)?;
            for (key, flow) in &batch.entries {
                self.copy_flow(key, *flow, epoch, &mut to)?;
            }
            match batch.next {
                Some(next) => cursor = Some(next),
                None => return Ok(()),
            }
        }
    }

    /// What the new program remembered stays; what was copied gives way to what the old program
    /// remembered afterwards.
    fn copy_flow(
        &self,
        key: &FlowKey,
        flow: BareFlow,
        epoch: u32,
        to: &mut Table<FlowKey, FlowState>,
    ) -> Result<(), ConvertError> {
        let before = self.copied.borrow_mut().insert(*key, flow);
        if to.put_new(key, &aged(flow, epoch))? || before == Some(flow) {
            return Ok(());
        }
        if let Some(before) = before
            && to
                .get(key)?
                .is_some_and(|state| [state.backend, state.isn] == before)
        {
            to.put(key, &aged(flow, epoch))?;
        }
        Ok(())
    }
}

fn copy_tables(old: &PinDir, new: &PinDir) -> Result<(), ConvertError> {
    let specs = Specs::new(&Sizes::default());
    copy_array::<BackendRecord>(&specs.backends, old, new)?;
    copy_array::<Link>(&specs.links, old, new)?;
    copy_devices(&specs, new)?;
    copy_array::<u32>(&specs.touched, old, new)?;
    copy_slots(&specs, old, new)?;
    copy_array::<ServiceRecord>(&specs.services, old, new)?;
    copy_array::<Bucket>(&specs.vips, old, new)?;
    // Last, as it says where the buckets are.
    copy_array::<Config>(&specs.config, old, new)
}

fn copy_array<T: Layout + PartialEq>(
    spec: &MapSpec,
    old: &PinDir,
    new: &PinDir,
) -> Result<(), ConvertError> {
    let from = MappedArray::<T>::open_read_only(&spec.as_pinned(old)?, old)?;
    let to = MappedArray::<T>::open(&spec.as_pinned(new)?, new)?;
    for index in 0..from.len() {
        let value = from.load(index)?;
        if index >= to.len() || to.load(index)? != value {
            to.write(index, &value)?;
        }
    }
    Ok(())
}

fn copy_slots(specs: &Specs, old: &PinDir, new: &PinDir) -> Result<(), ConvertError> {
    let before = MapSpec::mapped::<SlotPair>(maps::SLOTS, 0).as_pinned(old)?;
    let from = MappedArray::<SlotPair>::open_read_only(&before, old)?;
    let to = MappedArray::<Slot>::open(&specs.slots.as_pinned(new)?, new)?;
    for index in 0..from.len() {
        let slot = join(from.load(index)?);
        if index >= to.len() || to.load(index)? != slot {
            to.store_word(index, 0, slot.word())?;
        }
    }
    Ok(())
}

fn copy_devices(specs: &Specs, new: &PinDir) -> Result<(), ConvertError> {
    let links = MappedArray::<Link>::open_read_only(&specs.links.as_pinned(new)?, new)?;
    let mut devices = Table::<u32, Device>::open(&specs.devices.as_pinned(new)?, new)?;
    for place in 1..links.len() {
        let ifindex = links.load(place)?.ifindex;
        // An interface that has gone meanwhile is refused, and needs no place.
        if ifindex != 0 && devices.put(&ifindex, &[ifindex, 0]).is_err() {
            tracing::debug!(ifindex, "link without an interface");
        }
    }
    Ok(())
}

fn catch_up_touched(old: &PinDir, new: &PinDir) -> Result<(), ConvertError> {
    let spec = Specs::new(&Sizes::default()).touched;
    let from = MappedArray::<u32>::open_read_only(&spec.as_pinned(old)?, old)?;
    let to = MappedArray::<u32>::open(&spec.as_pinned(new)?, new)?;
    for index in 0..from.len() {
        let epoch = from.load(index)?;
        if to.load(index)? < epoch {
            to.store_half(index, 0, epoch)?;
        }
    }
    Ok(())
}

/// Two halves as one word.
fn join([current, previous]: SlotPair) -> Slot {
    Slot::settled(current)
        .with_previous(previous & !OPEN)
        .with_open(previous & OPEN != 0)
}

/// A flow without an age is as young as can be, and established: it is kept for as long as any.
const fn aged([backend, isn]: BareFlow, epoch: u32) -> FlowState {
    FlowState {
        backend,
        isn,
        seen: epoch,
        confirmed: 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_halves_become_one_word_with_the_same_fields() {
        let open = join([7, 9 | OPEN]);
        let settled = join([7, 7]);

        assert_eq!((open.current(), open.previous()), (7, 9));
        assert!(open.is_open());
        assert_eq!(settled, Slot::settled(7));
        assert_eq!(join([0, 0]), Slot::default());
    }
}
