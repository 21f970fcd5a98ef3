//! Loads, attaches and pins programs; maps arrays into memory.
//!
//! What is pinned outlives the process:
//!
//! ```text
//! <bpffs>/sluicegate/v<N>/maps/<map>
//!                         programs/<program>-<hash of its object>
//!                         links/<interface>
//! ```

mod counters;
mod features;
mod link;
mod map;
mod mapped;
mod migrate;
mod netlink;
mod pins;
mod program;
#[expect(
    unsafe_code,
    reason = "bpf(2) and shared memory; each block names its check"
)]
mod sys;
mod table;

pub use counters::PerCpu;
pub use features::{Feature, MissingFeatures, probe};
pub use link::{
    AttachError, AttachMode, Attached, Change, Interface, Occupant, XdpLink, attach, detach,
};
pub use map::{MapError, MapField, MapKind, MapSpec};
pub use mapped::{MappedArray, OutOfRange};
pub use migrate::{Conversion, MigrateError, migrate};
pub use netlink::{Mode, XdpOn, xdp_on};
pub use pins::{PinDir, PinError};
pub use program::{LoadError, Object, Program, load};
pub use sys::{Cursor, Pod};
pub use table::{Batch, Table, TableError};
