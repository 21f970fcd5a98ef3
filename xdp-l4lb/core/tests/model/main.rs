//! Packets and control steps against each other, with the decision that the kernel program runs.
//!
//! The promise: no established TCP flow to a backend that is not gone moves, through any sequence of
//! changes, restarts, floods and full tables, unless it was silent for the idle time or in its
//! handshake at the change. `SLUICEGATE_MODEL_STEPS` makes the search longer.

#[cfg(test)]
mod changes;
#[cfg(test)]
mod clients;
#[cfg(test)]
mod graces;
#[cfg(test)]
mod kernel;
#[cfg(test)]
mod node;
#[cfg(test)]
mod rng;
#[cfg(test)]
mod scenarios;
#[cfg(test)]
mod search;
