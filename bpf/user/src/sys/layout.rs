//! What a `Layout` promises, put to use: it is bytes, and any bytes are one.

use std::mem::{MaybeUninit, size_of};

use bpf_common::Layout;

/// A layout as aya's maps want it.
#[repr(transparent)]
#[derive(Clone, Copy, Debug)]
pub struct Pod<T: Layout>(pub T);

// SAFETY: `Layout` promises plain data without padding, and `Pod` is transparent.
unsafe impl<T: Layout> aya::Pod for Pod<T> {}

/// The bytes of a layout.
pub(crate) fn as_bytes<T: Layout>(value: &T) -> &[u8] {
    // SAFETY: `Layout` promises that there is no padding, so every byte is initialised.
    unsafe { std::slice::from_raw_parts((&raw const *value).cast(), size_of::<T>()) }
}

/// The layout that begins `bytes`; bytes that are missing are zero.
pub(crate) fn from_bytes<T: Layout>(bytes: &[u8]) -> T {
    let mut value = MaybeUninit::<T>::zeroed();
    let len = bytes.len().min(size_of::<T>());
    // SAFETY: `len` bounds both sides, which cannot overlap; any bytes are a valid `Layout`.
    unsafe {
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), value.as_mut_ptr().cast::<u8>(), len);
        value.assume_init()
    }
}
