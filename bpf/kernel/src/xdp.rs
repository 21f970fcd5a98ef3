//! A frame at XDP.

use core::ffi::c_void;

use aya_ebpf::bindings::xdp_md;
use aya_ebpf::helpers::{
    bpf_xdp_adjust_head, bpf_xdp_adjust_tail, bpf_xdp_get_buff_len, bpf_xdp_load_bytes,
};
use bpf_common::Packet;

use crate::memory;

/// Lets the compiler handle a buffer in words.
#[repr(align(8))]
struct Buffer<const N: usize>([u8; N]);

/// A frame that an XDP program was called with.
pub struct Xdp {
    ctx: *mut xdp_md,
}

impl Xdp {
    /// From what the program was called with.
    ///
    /// # Safety
    ///
    /// `ctx` is the context the kernel called the program with.
    #[inline(always)]
    pub const unsafe fn new(ctx: *mut xdp_md) -> Self {
        Self { ctx }
    }

    /// Makes room for `bytes` at the front; false if the driver left none.
    #[inline(always)]
    pub fn push(&self, bytes: usize) -> bool {
        // SAFETY: the context is the kernel's; the helper checks the room.
        unsafe { bpf_xdp_adjust_head(self.ctx, -(bytes as i32)) == 0 }
    }

    /// Takes `bytes` away at the front.
    #[inline(always)]
    pub fn pull(&self, bytes: usize) -> bool {
        // SAFETY: the context is the kernel's; the helper checks the length.
        unsafe { bpf_xdp_adjust_head(self.ctx, bytes as i32) == 0 }
    }

    /// Cuts what is behind the first `len` bytes; false if that fails.
    #[inline(always)]
    pub fn cut(&self, len: usize) -> bool {
        let now = self.len();
        // SAFETY: the context is the kernel's; the helper checks the length.
        now <= len || unsafe { bpf_xdp_adjust_tail(self.ctx, -((now - len) as i32)) == 0 }
    }

    /// Overwrites the frame's first bytes; false if its first part is shorter.
    #[inline(always)]
    pub fn write<const N: usize>(&self, bytes: &[u8; N]) -> bool {
        let (start, end) = self.ends();
        if start + N > end {
            return false;
        }
        // SAFETY: the check above keeps the bytes inside the frame, whose memory is the program's.
        unsafe { memory::store::<0, N>(start, bytes) };
        true
    }

    #[inline(always)]
    fn ends(&self) -> (usize, usize) {
        // SAFETY: the context is the kernel's.
        unsafe { ((*self.ctx).data as usize, (*self.ctx).data_end as usize) }
    }
}

impl Packet for Xdp {
    #[inline(always)]
    fn read<const AT: usize, const N: usize>(&self) -> Option<[u8; N]> {
        let (start, end) = self.ends();
        if start + AT + N > end {
            return None;
        }
        // SAFETY: the check above keeps the bytes inside the frame.
        Some(unsafe { memory::load::<AT, N>(start) })
    }

    #[inline(always)]
    fn load<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        let mut buffer = Buffer([0u8; N]);
        let to = (&raw mut buffer).cast::<c_void>();
        // SAFETY: the buffer has N bytes, and the helper checks the place.
        let failed = unsafe { bpf_xdp_load_bytes(self.ctx, at as u32, to, N as u32) };
        if failed != 0 {
            return None;
        }
        Some(buffer.0)
    }

    #[inline(always)]
    fn first_len(&self) -> usize {
        let (start, end) = self.ends();
        end - start
    }

    #[inline(always)]
    fn len(&self) -> usize {
        // SAFETY: the context is the kernel's.
        unsafe { bpf_xdp_get_buff_len(self.ctx) as usize }
    }

    #[inline(always)]
    fn ingress(&self) -> u32 {
        // SAFETY: the context is the kernel's.
        unsafe { (*self.ctx).ingress_ifindex }
    }
}
