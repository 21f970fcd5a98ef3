//! The benchmark's state as aya takes it.

use integration_common::Bench;

/// A value that aya may copy to and from the kernel as bytes.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct Shared(pub(super) Bench);

// SAFETY: `Bench` is a `Layout`: `repr(C)`, without padding, valid for every bit pattern.
#[expect(unsafe_code, reason = "aya asks for its own marker")]
unsafe impl aya::Pod for Shared {}
