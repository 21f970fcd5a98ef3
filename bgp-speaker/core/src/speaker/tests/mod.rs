//! The speaker as a whole, against a peer that is as simple as can be.

mod exchange;
mod properties;
mod remote;
mod transcripts;
