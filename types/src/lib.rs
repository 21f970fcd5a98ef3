//! Nouns that the features share: constructors, parsing and display, nothing else.

mod bgp;
mod names;
mod prefix;
mod vip;

pub use bgp::{Asn, BadAsn, BadRouterId, RouterId};
pub use names::{BadNodeName, NodeName, ObjectName};
pub use prefix::{BadPrefix, Family, Prefix};
pub use vip::{BackendAddr, BadBackendAddr, BadProtocol, BadVip, Protocol, Vip};
