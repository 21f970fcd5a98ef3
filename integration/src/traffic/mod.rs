//! What tests look through: an HTTP server that says who it is, and clients that check every byte.

mod client;
mod load;
mod pattern;
pub mod pod;
mod server;

pub use client::{Answer, Transfer, get, get_many};
pub use load::{Load, Tally};
pub use server::Server;
