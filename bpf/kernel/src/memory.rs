//! Copies between frames and variables, in the widest words there are.
//!
//! Headers lie at odd places in frames. The kernel lets programs access whole words there, but the
//! compiler would take them apart into bytes, so the instructions are spelled out. What only loads
//! is marked pure: loads nobody needs are left out. An instruction holds its place in the frame, so
//! places are constants.
//!
//! Loads are of four bytes at most, as header fields are: a wider one waits for the cache when the
//! bytes were just written in smaller parts (measured: 5 ns a packet).

use core::arch::asm;

/// The longest copy.
const MOST: usize = 64;

macro_rules! loads {
    ($($load:ident, $word:ty, $width:literal;)*) => {$(
        /// Loads a word, `AT + OFFSET` behind the frame's start.
        ///
        /// # Safety
        ///
        /// The word lies in the frame.
        #[inline(always)]
        unsafe fn $load<const AT: usize, const OFFSET: usize>(frame: usize) -> $word {
            let word: u64;
            // SAFETY: the caller's promise; the verifier checks it again.
            unsafe {
                asm!(
                    concat!("{word} = *(", $width, " *)({frame} + {at})"),
                    word = lateout(reg) word,
                    frame = in(reg) frame,
                    at = const AT + OFFSET,
                    options(pure, readonly, nostack, preserves_flags),
                );
            }
            word as $word
        }
    )*};
}

macro_rules! stores {
    ($($store:ident, $word:ty, $width:literal;)*) => {$(
        /// Stores a word, `AT + OFFSET` behind the frame's start.
        ///
        /// # Safety
        ///
        /// The word lies in the frame.
        #[inline(always)]
        unsafe fn $store<const AT: usize, const OFFSET: usize>(frame: usize, word: $word) {
            // SAFETY: the caller's promise; the verifier checks it again.
            unsafe {
                asm!(
                    concat!("*(", $width, " *)({frame} + {at}) = {word}"),
                    word = in(reg) u64::from(word),
                    frame = in(reg) frame,
                    at = const AT + OFFSET,
                    options(nostack, preserves_flags),
                );
            }
        }
    )*};
}

loads! {
    load_4, u32, "u32";
    load_2, u16, "u16";
    load_1, u8, "u8";
}

stores! {
    store_8, u64, "u64";
    store_4, u32, "u32";
    store_2, u16, "u16";
    store_1, u8, "u8";
}

/// Runs a step for each word of `$n` bytes: at literal places, of which those inside are kept.
macro_rules! for_each_word {
    ($n:ident, $eight:ident, $four:ident, $two:ident, $one:ident) => {
        for_each_word!(@eights $n, $eight, 0 8 16 24 32 40 48 56);
        for_each_word!(@tails $n, $four, $two, $one, 0 8 16 24 32 40 48 56);
    };
    (@eights $n:ident, $eight:ident, $($at:literal)*) => {
        $(if $n >= $at + 8 {
            $eight!($at);
        })*
    };
    (@tails $n:ident, $four:ident, $two:ident, $one:ident, $($at:literal)*) => {
        $(if $n & !7 == $at {
            match $n & 7 {
                1 => $one!($at),
                2 => $two!($at),
                3 => {
                    $two!($at);
                    $one!($at + 2);
                }
                4 => $four!($at),
                5 => {
                    $four!($at);
                    $one!($at + 4);
                }
                6 => {
                    $four!($at);
                    $two!($at + 4);
                }
                7 => {
                    $four!($at);
                    $two!($at + 4);
                    $one!($at + 6);
                }
                _ => {}
            }
        })*
    };
}

/// `N` bytes of the frame at `frame`, from `AT` on.
///
/// # Safety
///
/// They lie in the frame.
#[inline(always)]
pub(crate) unsafe fn load<const AT: usize, const N: usize>(frame: usize) -> [u8; N] {
    const { assert!(N <= MOST) };
    let mut bytes = [0u8; N];
    let to = bytes.as_mut_ptr();
    macro_rules! step {
        ($load:ident, $word:ty, $offset:expr) => {
            // SAFETY: the caller's promise for the frame; the word lies inside the array.
            unsafe {
                to.add($offset)
                    .cast::<$word>()
                    .write_unaligned($load::<AT, { $offset }>(frame));
            }
        };
    }
    macro_rules! eight {
        ($at:expr) => {
            step!(load_4, u32, $at);
            step!(load_4, u32, $at + 4)
        };
    }
    macro_rules! four {
        ($at:expr) => {
            step!(load_4, u32, $at)
        };
    }
    macro_rules! two {
        ($at:expr) => {
            step!(load_2, u16, $at)
        };
    }
    macro_rules! one {
        ($at:expr) => {
            step!(load_1, u8, $at)
        };
    }
    for_each_word!(N, eight, four, two, one);
    bytes
}

/// Overwrites `N` bytes of the frame at `frame`, from `AT` on.
///
/// # Safety
///
/// They lie in the frame.
#[inline(always)]
pub(crate) unsafe fn store<const AT: usize, const N: usize>(frame: usize, bytes: &[u8; N]) {
    const { assert!(N <= MOST) };
    let from = bytes.as_ptr();
    macro_rules! step {
        ($store:ident, $word:ty, $offset:expr) => {
            // SAFETY: the caller's promise for the frame; the word lies inside the array.
            unsafe {
                $store::<AT, { $offset }>(
                    frame,
                    from.add($offset).cast::<$word>().read_unaligned(),
                );
            }
        };
    }
    macro_rules! eight {
        ($at:expr) => {
            step!(store_8, u64, $at)
        };
    }
    macro_rules! four {
        ($at:expr) => {
            step!(store_4, u32, $at)
        };
    }
    macro_rules! two {
        ($at:expr) => {
            step!(store_2, u16, $at)
        };
    }
    macro_rules! one {
        ($at:expr) => {
            step!(store_1, u8, $at)
        };
    }
    for_each_word!(N, eight, four, two, one);
}
