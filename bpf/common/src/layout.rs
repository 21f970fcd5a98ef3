//! What makes a Rust type a key or a value of a kernel table.

/// A type whose bytes are a table's bytes, on both sides of the kernel boundary.
///
/// # Safety
///
/// The type is `repr(C)` or `repr(transparent)`, has no implicit padding, and every pattern of its
/// bytes is a valid value of it.
#[expect(
    unsafe_code,
    reason = "the promise cannot be checked by the compiler, so an implementor has to make it"
)]
pub unsafe trait Layout: Copy + 'static {}

macro_rules! plain {
    ($($type:ty),*) => {$(
        // SAFETY: a primitive integer has no padding and no invalid value.
        #[expect(unsafe_code, reason = "Layout is a promise; see its definition")]
        unsafe impl Layout for $type {}
    )*};
}

plain!(u8, u16, u32, u64);

// SAFETY: an array has no padding beyond its elements', and each element keeps the promise.
#[expect(unsafe_code, reason = "Layout is a promise; see its definition")]
unsafe impl<T: Layout, const N: usize> Layout for [T; N] {}
