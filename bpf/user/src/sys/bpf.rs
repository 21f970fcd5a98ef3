//! Commands of bpf(2) that aya does not offer: link details, atomic replacement, batches.

use std::ffi::CString;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use bpf_common::Layout;

use super::layout::from_bytes;

const OBJ_PIN: libc::c_long = 6;
const OBJ_GET: libc::c_long = 7;
const OBJ_GET_INFO_BY_FD: libc::c_long = 15;
const MAP_LOOKUP_AND_DELETE: libc::c_long = 21;
const MAP_LOOKUP_BATCH: libc::c_long = 24;
const LINK_CREATE: libc::c_long = 28;
const LINK_UPDATE: libc::c_long = 29;

/// `BPF_XDP` of `enum bpf_attach_type`.
pub(super) const ATTACH_XDP: u32 = 37;
/// `BPF_LINK_TYPE_XDP` of `enum bpf_link_type`.
const LINK_TYPE_XDP: u32 = 6;

/// What the kernel says of an XDP link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LinkState {
    /// The program that the link runs.
    pub(crate) program: u32,
    /// The interface; zero once that is gone, as a link dies with it.
    pub(crate) ifindex: u32,
}

/// Where a batch ended: the number of a bucket for hash tables, a key for other maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(8))]
pub struct Cursor([u8; Cursor::SIZE]);

/// Whether a batch was the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BatchEnd {
    /// More entries follow after this cursor.
    More(Cursor),
    /// The table was read to its end.
    Last,
}

impl Cursor {
    const SIZE: usize = 64;
}

#[repr(C)]
#[derive(Default)]
struct ObjectAttr {
    pathname: u64,
    fd: u32,
    file_flags: u32,
}

#[repr(C)]
struct InfoAttr {
    fd: u32,
    info_len: u32,
    info: u64,
}

#[repr(C)]
struct LinkCreateAttr {
    program: u32,
    ifindex: u32,
    attach_type: u32,
    flags: u32,
}

#[repr(C)]
struct LinkUpdateAttr {
    link: u32,
    new_program: u32,
    flags: u32,
    old_program: u32,
}

#[repr(C)]
struct ElementAttr {
    map: u32,
    pad: u32,
    key: u64,
    value: u64,
    flags: u64,
}

#[repr(C)]
struct BatchAttr {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map: u32,
    elem_flags: u64,
    flags: u64,
}

/// `struct bpf_link_info` up to the XDP arm of its union.
#[repr(C)]
#[derive(Default)]
struct LinkInfo {
    kind: u32,
    id: u32,
    program: u32,
    pad: u32,
    ifindex: u32,
    tail: u32,
}

/// Opens a pinned object.
pub(crate) fn object_get(path: &Path) -> io::Result<OwnedFd> {
    let path = c_path(path)?;
    let mut attr = ObjectAttr {
        pathname: address(path.as_ptr()),
        ..ObjectAttr::default()
    };
    // SAFETY: `path` is a NUL-terminated string that outlives the call.
    unsafe { bpf_fd(OBJ_GET, &mut attr) }
}

/// Pins an object at a path that does not exist yet.
pub(crate) fn object_pin(object: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let path = c_path(path)?;
    let mut attr = ObjectAttr {
        pathname: address(path.as_ptr()),
        fd: number(object),
        file_flags: 0,
    };
    // SAFETY: `path` is a NUL-terminated string that outlives the call.
    unsafe { bpf(OBJ_PIN, &mut attr) }.map(drop)
}

/// Attaches an XDP program to an interface by a link of its own.
pub(crate) fn link_create(
    program: BorrowedFd<'_>,
    ifindex: u32,
    flags: u32,
) -> io::Result<OwnedFd> {
    let mut attr = LinkCreateAttr {
        program: number(program),
        ifindex,
        attach_type: ATTACH_XDP,
        flags,
    };
    // SAFETY: the attributes hold no pointer.
    unsafe { bpf_fd(LINK_CREATE, &mut attr) }
}

/// Lets a link run another program, between two packets.
pub(crate) fn link_update(link: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    let mut attr = LinkUpdateAttr {
        link: number(link),
        new_program: number(program),
        flags: 0,
        old_program: 0,
    };
    // SAFETY: the attributes hold no pointer.
    unsafe { bpf(LINK_UPDATE, &mut attr) }.map(drop)
}

/// What an XDP link is attached to.
pub(crate) fn link_state(link: BorrowedFd<'_>) -> io::Result<LinkState> {
    let mut state = LinkInfo::default();
    let mut attr = InfoAttr {
        fd: number(link),
        info_len: length(size_of::<LinkInfo>()),
        info: address_mut(&raw mut state),
    };
    // SAFETY: `state` has room for the length given and outlives the call.
    unsafe { bpf(OBJ_GET_INFO_BY_FD, &mut attr) }?;
    if state.kind == LINK_TYPE_XDP {
        Ok(LinkState {
            program: state.program,
            ifindex: state.ifindex,
        })
    } else {
        Err(io::Error::from_raw_os_error(libc::EINVAL))
    }
}

/// Reads up to `limit` entries after `cursor`, appending to `keys` and `values`.
///
/// `per_key` values are read for each key: one, or one for each possible CPU.
pub(crate) fn lookup_batch<K: Layout, V: Layout>(
    map: BorrowedFd<'_>,
    cursor: Option<Cursor>,
    (limit, per_key): (usize, usize),
    keys: &mut Vec<K>,
    values: &mut Vec<V>,
) -> io::Result<BatchEnd> {
    keys.clear();
    values.clear();
    keys.reserve(limit);
    values.reserve(limit * per_key);
    // The kernel copies a key into the cursor where a map has no buckets.
    const { assert!(size_of::<K>() <= Cursor::SIZE) };
    let before = cursor.unwrap_or(Cursor([0; Cursor::SIZE]));
    let mut after = Cursor([0; Cursor::SIZE]);
    let mut attr = BatchAttr {
        in_batch: cursor.map_or(0, |_| address(&raw const before)),
        out_batch: address_mut(&raw mut after),
        keys: address_mut(keys.as_mut_ptr()),
        values: address_mut(values.as_mut_ptr()),
        count: length(limit),
        map: number(map),
        elem_flags: 0,
        flags: 0,
    };
    // SAFETY: both vectors have capacity for `limit` entries of the map's own sizes (the caller's
    // typed view was checked against the map when it was opened), and both cursors have room for a
    // key.
    let outcome = unsafe { bpf(MAP_LOOKUP_BATCH, &mut attr) };
    let end = match outcome {
        Ok(_) => BatchEnd::More(after),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => BatchEnd::Last,
        Err(error) => return Err(error),
    };
    let read = usize::try_from(attr.count).map_or(0, |count| count.min(limit));
    // SAFETY: the kernel wrote `count` entries, of which at most `limit` fit the capacity.
    unsafe {
        keys.set_len(read);
        values.set_len(read * per_key);
    }
    Ok(end)
}

/// Removes an entry of a hash table and returns what it was then.
pub(crate) fn lookup_and_delete<K: Layout, V: Layout>(
    map: BorrowedFd<'_>,
    key: &K,
) -> io::Result<Option<V>> {
    let mut value: V = from_bytes(&[]);
    let mut attr = ElementAttr {
        map: number(map),
        pad: 0,
        key: address(&raw const *key),
        value: address_mut(&raw mut value),
        flags: 0,
    };
    // SAFETY: key and value have the map's own sizes, checked when it was opened, and outlive the
    // call.
    match unsafe { bpf(MAP_LOOKUP_AND_DELETE, &mut attr) } {
        Ok(_) => Ok(Some(value)),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// # Safety
/// Every pointer in `attr` must be valid for what `command` does with it.
unsafe fn bpf<A>(command: libc::c_long, attr: &mut A) -> io::Result<libc::c_long> {
    // SAFETY: `attr` is valid for its own size; what it points at is the caller's promise.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut *attr, size_of::<A>()) };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// # Safety
/// As [`bpf`], and `command` must return a new file descriptor.
pub(super) unsafe fn bpf_fd<A>(command: libc::c_long, attr: &mut A) -> io::Result<OwnedFd> {
    // SAFETY: the caller's promise.
    let result = unsafe { bpf(command, attr) }?;
    let fd = i32::try_from(result).map_err(|_| io::Error::from_raw_os_error(libc::EBADF))?;
    // SAFETY: the kernel has just returned this descriptor to us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

pub(super) fn address<T>(pointer: *const T) -> u64 {
    pointer.expose_provenance() as u64
}

pub(super) fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

fn address_mut<T>(pointer: *mut T) -> u64 {
    pointer.expose_provenance() as u64
}

fn number(fd: BorrowedFd<'_>) -> u32 {
    fd.as_raw_fd().cast_unsigned()
}

fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}
