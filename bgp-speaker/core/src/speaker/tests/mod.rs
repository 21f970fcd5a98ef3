//! The speaker as a whole, against a peer that is as simple as can be.

mod chaos;
mod exchange;
mod pair;
mod properties;
mod remote;
mod transcripts;
