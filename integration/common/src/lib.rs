//! What the benchmark's programs share with the benchmark.

#![no_std]

use bpf_common::Layout;

/// Bytes of a frame that can be put back before each run: Ethernet and the headers after it.
pub const FRAME: usize = 96;

/// What the restoring program does, and what it saw. Written by user space before a run.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Bench {
    /// Runs so far; zero before the first.
    pub runs: u64,
    /// The number of the last run, which stops the clock.
    pub last: u64,
    /// When the first run began, in nanoseconds.
    pub began: u64,
    /// When the last run ended, in nanoseconds.
    pub ended: u64,
    /// Where the packet was at the first run.
    pub start: u64,
    /// Where it ended at the first run.
    pub end: u64,
    /// What the program under test returned: a count for each action, then one for none at all.
    pub actions: [u64; 8],
    /// Where in the frame a 32-bit word changes with each run; zero is nowhere.
    pub vary_at: u32,
    /// How many values the word takes.
    pub vary_count: u32,
    /// The least of them.
    pub vary_base: u32,
    /// What stands for "the program under test did not run".
    pub absent: u32,
    /// Changed by an atomic operation, which waits for every store before it.
    pub fence: u64,
    /// The frame's first bytes.
    pub frame: [u8; FRAME],
}

// SAFETY: `repr(C)` of integers without padding, as the assertion below shows.
#[expect(unsafe_code, reason = "a layout is declared beside its type")]
unsafe impl Layout for Bench {}

const _: () = assert!(size_of::<Bench>() == 8 * 15 + 16 + FRAME);

impl Default for Bench {
    fn default() -> Self {
        Self {
            runs: 0,
            last: 0,
            began: 0,
            ended: 0,
            start: 0,
            end: 0,
            actions: [0; 8],
            vary_at: 0,
            vary_count: 0,
            vary_base: 0,
            absent: 7,
            fence: 0,
            frame: [0; FRAME],
        }
    }
}
