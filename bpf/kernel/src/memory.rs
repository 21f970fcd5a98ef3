//! Copies between frames and variables, in the widest words there are.
//!
//! Headers lie at odd places in frames. The kernel lets programs access whole words there, but the
//! compiler would take them apart into bytes, so the instructions are spelled out. What only loads
//! is marked pure: loads nobody needs are left out.

use core::arch::asm;

/// The longest copy.
const MOST: usize = 64;

macro_rules! word {
    ($load:ident, $store:ident, $word:ty, $width:literal) => {
        /// Loads a word from a frame.
        ///
        /// # Safety
        ///
        /// The word lies in the frame.
        #[inline(always)]
        unsafe fn $load(frame: usize) -> $word {
            let word: u64;
            // SAFETY: the caller's promise; the verifier checks it again.
            unsafe {
                asm!(
                    concat!("{word} = *(", $width, " *)({frame} + 0)"),
                    word = lateout(reg) word,
                    frame = in(reg) frame,
                    options(pure, readonly, nostack, preserves_flags),
                );
            }
            word as $word
        }

        /// Stores a word in a frame.
        ///
        /// # Safety
        ///
        /// The word lies in the frame.
        #[inline(always)]
        unsafe fn $store(frame: usize, word: $word) {
            // SAFETY: the caller's promise; the verifier checks it again.
            unsafe {
                asm!(
                    concat!("*(", $width, " *)({frame} + 0) = {word}"),
                    word = in(reg) u64::from(word),
                    frame = in(reg) frame,
                    options(nostack, preserves_flags),
                );
            }
        }
    };
}

word!(load_8, store_8, u64, "u64");
word!(load_4, store_4, u32, "u32");
word!(load_2, store_2, u16, "u16");
word!(load_1, store_1, u8, "u8");

/// Runs a step for each word of `$n` bytes, without a loop that might stay one.
macro_rules! for_each_word {
    ($n:ident, $eight:expr, $four:expr, $two:expr, $one:expr) => {
        for_each_word!(@eights $n, $eight, 0 8 16 24 32 40 48 56);
        let mut at = $n & !7;
        if $n & 4 != 0 {
            $four(at);
            at += 4;
        }
        if $n & 2 != 0 {
            $two(at);
            at += 2;
        }
        if $n & 1 != 0 {
            $one(at);
        }
    };
    (@eights $n:ident, $eight:expr, $($at:literal)*) => {
        $(if $n >= $at + 8 {
            $eight($at);
        })*
    };
}

/// `N` bytes of a frame, from `frame` on.
///
/// # Safety
///
/// They lie in the frame.
#[inline(always)]
pub(crate) unsafe fn load<const N: usize>(frame: usize) -> [u8; N] {
    const { assert!(N <= MOST) };
    let mut bytes = [0u8; N];
    let to = bytes.as_mut_ptr();
    // SAFETY: the caller's promise for the frame; each word lies inside the array.
    unsafe {
        for_each_word!(
            N,
            |at| to.add(at).cast::<u64>().write_unaligned(load_8(frame + at)),
            |at| to.add(at).cast::<u32>().write_unaligned(load_4(frame + at)),
            |at| to.add(at).cast::<u16>().write_unaligned(load_2(frame + at)),
            |at| to.add(at).write(load_1(frame + at))
        );
    }
    bytes
}

/// Overwrites `N` bytes of a frame, from `frame` on.
///
/// # Safety
///
/// They lie in the frame.
#[inline(always)]
pub(crate) unsafe fn store<const N: usize>(frame: usize, bytes: &[u8; N]) {
    const { assert!(N <= MOST) };
    let from = bytes.as_ptr();
    // SAFETY: the caller's promise for the frame; each word lies inside the array.
    unsafe {
        for_each_word!(
            N,
            |at| store_8(frame + at, from.add(at).cast::<u64>().read_unaligned()),
            |at| store_4(frame + at, from.add(at).cast::<u32>().read_unaligned()),
            |at| store_2(frame + at, from.add(at).cast::<u16>().read_unaligned()),
            |at| store_1(frame + at, from.add(at).read())
        );
    }
}
