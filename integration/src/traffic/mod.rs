//! What tests look through: an HTTP server that says who it is, and clients that check every byte.

mod client;
mod pattern;
mod server;

pub use client::{Answer, Transfer, get, get_many};
pub use server::Server;
