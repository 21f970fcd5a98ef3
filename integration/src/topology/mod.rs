//! Networks that more than one test uses.

mod edge;
pub mod manifests;
mod routers;
pub mod single;

pub use edge::{BACKENDS, CLIENT_V4, CLIENT_V6, EDGES, Edge, Wire};
pub use manifests::Manifests;
pub use routers::{bird_config, frr_config};
pub use single::Single;
