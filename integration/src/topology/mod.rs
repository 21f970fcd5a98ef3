//! Networks that more than one test uses.

mod edge;
mod routers;

pub use edge::{BACKENDS, CLIENT_V4, CLIENT_V6, EDGES, Edge, Wire};
pub use routers::{bird_config, frr_config};
