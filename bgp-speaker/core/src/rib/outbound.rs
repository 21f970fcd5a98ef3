//! Where one peer is in being told what is exported to it (Adj-RIB-Out).
//!
//! ```text
//!   a route changes --> pending --(socket writable: a block at a time)--> chunk --> buffer
//!                                             |
//!                                             '--> advertised: what the peer has, once it has
//!                                                  read what was sent
//! ```

use std::sync::Arc;

use super::bits::Bits;

/// Where the length is in a message's header (RFC 4271 §4.1).
const LEN_AT: usize = 16;

/// One peer's progress in one family.
#[derive(Debug)]
pub(crate) struct Outbound {
    /// Its group's number.
    pub(crate) group: u32,
    /// Prefixes whose route, or lack of one, the peer must be told.
    pub(crate) pending: Bits,
    /// Prefixes that the peer has been told; one reference to each.
    pub(crate) advertised: Bits,
    /// End-of-RIB is still to be sent, after everything that is pending.
    pub(crate) owes_end_of_rib: bool,
    /// The block to look at next.
    pub(crate) next_block: u32,
    chunk: Option<Unsent>,
}

/// Packed UPDATEs, and how far they have been taken.
#[derive(Debug)]
struct Unsent {
    bytes: Arc<[u8]>,
    at: usize,
}

impl Outbound {
    /// A peer that has been told nothing and must be told all of `pending`.
    pub(crate) fn new(group: u32, pending: Bits) -> Self {
        Self {
            group,
            pending,
            advertised: Bits::default(),
            owes_end_of_rib: true,
            next_block: 0,
            chunk: None,
        }
    }

    /// Whether there is anything to send.
    pub(crate) fn has_more(&self, ready: bool) -> bool {
        self.chunk.is_some() || !self.pending.is_empty() || (self.owes_end_of_rib && ready)
    }

    /// Takes up bytes to be sent before anything else.
    pub(crate) fn queue(&mut self, bytes: Arc<[u8]>) {
        self.chunk = (!bytes.is_empty()).then_some(Unsent { bytes, at: 0 });
    }

    /// Appends whole messages until `buffer` is `limit` long; whether none is left.
    pub(crate) fn drain(&mut self, buffer: &mut Vec<u8>, limit: usize) -> bool {
        let Some(chunk) = &mut self.chunk else {
            return true;
        };
        let rest = chunk.bytes.get(chunk.at..).unwrap_or_default();
        let mut take = 0;
        while take < rest.len() && buffer.len() + take < limit {
            take += message_len(rest.get(take..).unwrap_or_default()).unwrap_or(rest.len());
        }
        buffer.extend(rest.iter().take(take));
        chunk.at += take;
        let done = take >= rest.len();
        if done {
            self.chunk = None;
        }
        done
    }
}

fn message_len(bytes: &[u8]) -> Option<usize> {
    let len = bytes.get(LEN_AT..)?.first_chunk::<2>()?;
    Some(u16::from_be_bytes(*len).into())
}
