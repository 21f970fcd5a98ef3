//! The kernel interfaces that have no safe wrapper: parts of bpf(2), and shared memory.

mod bpf;
mod layout;
mod mmap;
mod probe;

pub use bpf::Cursor;
pub(crate) use bpf::{
    BatchEnd, LinkState, link_create, link_detach, link_state, link_update, lookup_and_delete,
    lookup_batch, object_get, object_pin,
};
pub use layout::Pod;
pub(crate) use layout::{as_bytes, from_bytes};
pub(crate) use mmap::SharedWords;
pub(crate) use probe::{Insn, contains, load_probe, raise_memlock};
