//! Loading a few instructions to see whether the kernel takes them.

use std::io;
use std::mem::zeroed;
use std::os::fd::OwnedFd;

use super::bpf::{ATTACH_XDP, address, bpf_fd, length};

const PROG_LOAD: libc::c_long = 5;
const PROG_TYPE_XDP: u32 = 6;

/// One instruction as the kernel reads it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Insn {
    /// Operation code.
    pub(crate) code: u8,
    /// Source register in the high four bits, destination in the low four.
    pub(crate) registers: u8,
    /// Signed offset.
    pub(crate) offset: i16,
    /// Immediate value, or the number of a helper.
    pub(crate) immediate: i32,
}

#[repr(C)]
struct LoadAttr {
    kind: u32,
    insn_count: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
    ifindex: u32,
    attach_type: u32,
}

/// Loads an XDP program that nobody will run.
pub(crate) fn load_probe(insns: &[Insn], flags: u32) -> io::Result<OwnedFd> {
    let license = c"GPL";
    // SAFETY: every field is a number or an array of numbers.
    let mut attr: LoadAttr = unsafe { zeroed() };
    attr.kind = PROG_TYPE_XDP;
    attr.insn_count = length(insns.len());
    attr.insns = address(insns.as_ptr());
    attr.license = address(license.as_ptr());
    attr.flags = flags;
    attr.attach_type = ATTACH_XDP;
    // SAFETY: the instructions and the license outlive the call, and a load returns a descriptor.
    unsafe { bpf_fd(PROG_LOAD, &mut attr) }
}

/// Lifts the limit on locked memory: kernels before 5.11 charge maps to it.
pub(crate) fn raise_memlock() -> io::Result<()> {
    let limit = libc::rlimit {
        rlim_cur: libc::RLIM_INFINITY,
        rlim_max: libc::RLIM_INFINITY,
    };
    // SAFETY: `limit` outlives the call.
    if unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const limit) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Whether `needle` is somewhere in `bytes`: the kernel's types are megabytes, libc is fast.
pub(crate) fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    // SAFETY: both lengths are those of the slices they go with, which outlive the call.
    let found = unsafe {
        libc::memmem(
            bytes.as_ptr().cast(),
            bytes.len(),
            needle.as_ptr().cast(),
            needle.len(),
        )
    };
    !found.is_null()
}
