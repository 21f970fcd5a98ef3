//! What the kernel offers and no library wraps: TCP MD5 keys and the clock that sleeps too.
#![expect(unsafe_code, reason = "calls without a safe wrapper")]

use std::io;
use std::mem::size_of;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use socket2::{SockAddr, SockAddrStorage};
use tokio::io::unix::AsyncFd;

/// The longest key that the kernel takes: TCP_MD5SIG_MAXKEYLEN.
pub(crate) const MAX_KEY: usize = 80;

/// `struct tcp_md5sig` of linux/tcp.h.
#[repr(C)]
struct TcpMd5Sig {
    addr: SockAddrStorage,
    flags: u8,
    prefix_len: u8,
    key_len: u16,
    ifindex: u32,
    key: [u8; MAX_KEY],
}

const _: () = assert!(size_of::<TcpMd5Sig>() == 128 + 8 + MAX_KEY);

/// Sets the TCP MD5 key for segments to and from `peer` (RFC 2385); an empty one removes it.
pub(crate) fn set_md5_key(socket: BorrowedFd<'_>, peer: IpAddr, key: &[u8]) -> io::Result<()> {
    let mut option = TcpMd5Sig {
        addr: SockAddr::from(SocketAddr::new(peer, 0)).as_storage(),
        flags: 0,
        prefix_len: 0,
        key_len: 0,
        ifindex: 0,
        key: [0; MAX_KEY],
    };
    let (Some(place), Ok(len)) = (option.key.get_mut(..key.len()), u16::try_from(key.len())) else {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the password is longer than 80 octets",
        ));
    };
    place.copy_from_slice(key);
    option.key_len = len;
    let size = u32::try_from(size_of::<TcpMd5Sig>()).unwrap_or(0);
    // SAFETY: the option is a live `struct tcp_md5sig` of the size given, checked above.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_MD5SIG,
            (&raw const option).cast(),
            size,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Watches a descriptor in the runtime that has been entered.
pub(crate) fn watch(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is open, and stays the same one until the `AsyncFd` drops it.
    Ok(unsafe { AsyncFd::register(fd) }?)
}

/// The time since boot, sleep included: it goes on over restarts of the process.
pub(crate) fn boot_time() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a live timespec; the call writes nothing else.
    unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut time) };
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}
