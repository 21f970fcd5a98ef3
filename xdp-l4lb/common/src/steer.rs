//! Which backend a packet belongs to: the rule of slots.
//!
//! A live flow that is not remembered belongs to its slot's `previous`. While a slot is open, new
//! TCP flows go to `current` and are remembered first; where there is no memory left they go to
//! `previous`, which needs none. So no established flow moves, whatever is changed meanwhile.

use wire::Tcp;

use crate::access::{Maps, Remembered};
use crate::hash::Flow;
use crate::layout::{BACKEND_LIVE, Counter, FlowKey, FlowState, PROTO_TCP, Slot, SlotTable};

/// No backend.
pub(crate) const NOBODY: u32 = 0;

/// What a packet says about where its flow is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// SYN without ACK, and its sequence number.
    Opening(u32),
    /// Any other segment, and its sequence number.
    Going(u32),
    /// An error about a segment that the backend sent: it carries no number of the client's.
    Unknown,
}

impl Stage {
    /// Of a segment from the client.
    #[inline(always)]
    pub(crate) const fn of(tcp: &Tcp) -> Self {
        if tcp.opens() {
            Self::Opening(tcp.seq)
        } else {
            Self::Going(tcp.seq)
        }
    }
}

/// A TCP packet that found its slot open.
struct Case {
    key: FlowKey,
    index: u32,
    slot: Slot,
    stage: Stage,
}

/// The backend's id, or [`NOBODY`]. `stage` is asked for where it matters only: in an open slot, of
/// TCP. `None` if it could not say.
#[inline(always)]
pub(crate) fn choose<M: Maps>(
    maps: &M,
    (service, table): (u32, SlotTable),
    hash: u64,
    flow: &Flow,
    stage: impl FnOnce() -> Option<Stage>,
) -> Option<u32> {
    if table.is_none() {
        return Some(NOBODY);
    }
    let index = table.slot(hash);
    let Some(slot) = maps.slot(index) else {
        return Some(NOBODY);
    };
    if !slot.is_open() || flow.proto != PROTO_TCP {
        return Some(slot.current());
    }
    let stage = stage()?;
    let key = FlowKey {
        service,
        addr: flow.client.bytes(),
        port: flow.client_port.to_ne_bytes(),
        pad: [0; 2],
    };
    let case = Case {
        key,
        index,
        slot,
        stage,
    };
    Some(in_change(maps, &case))
}

/// Slots in change are few, so this stays out of the way of the others.
#[inline(never)]
fn in_change<M: Maps>(maps: &M, case: &Case) -> u32 {
    let known = maps.flow(&case.key);
    let state = known.as_ref().map(Remembered::state);
    let live = state.filter(|state| is_live(maps, state.backend));
    match (case.stage, live) {
        // A retransmission.
        (Stage::Opening(isn), Some(state)) if state.isn == isn => state.backend,
        (Stage::Opening(isn), _) => open(maps, case, isn, state.is_some()),
        (Stage::Going(seq), Some(state))
            if state.confirmed != 0 || seq == state.isn.wrapping_add(1) =>
        {
            if let Some(known) = known {
                known.confirm(maps.epoch());
            }
            state.backend
        }
        (Stage::Unknown, Some(state)) if state.confirmed != 0 => state.backend,
        (Stage::Going(_) | Stage::Unknown, _) => {
            maps.touch(case.index, maps.epoch());
            case.slot.previous()
        }
    }
}

/// A new flow: to `current` if that can be remembered or needs not be.
#[inline(always)]
fn open<M: Maps>(maps: &M, case: &Case, isn: u32, known: bool) -> u32 {
    let current = case.slot.current();
    let epoch = maps.epoch();
    let state = FlowState {
        backend: current,
        isn,
        seen: epoch,
        confirmed: 0,
    };
    if current == NOBODY {
        // Nothing takes new flows, so there is nothing to remember either.
        return NOBODY;
    }
    if current == case.slot.previous() {
        // What is known of an older flow with these ends must not catch this one.
        if known {
            maps.remember(&case.key, &state);
        }
        return current;
    }
    if maps.remember(&case.key, &state) {
        maps.count(Counter::FlowRemembered);
        return current;
    }
    maps.touch(case.index, epoch);
    maps.count(Counter::FlowDeferred);
    case.slot.previous()
}

#[inline(always)]
fn is_live(maps: &impl Maps, backend: u32) -> bool {
    maps.backend(backend)
        .is_some_and(|backend| backend.mode.has(BACKEND_LIVE))
}
