//! Memory that this process shares with kernel programs, as words of eight bytes.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// A mapped region; every access is atomic, as programs read and write it at any time.
#[derive(Debug)]
pub(crate) struct SharedWords {
    base: NonNull<u8>,
    words: usize,
    writable: bool,
}

// SAFETY: the region belongs to no thread, and every access is atomic.
unsafe impl Send for SharedWords {}
// SAFETY: as above.
unsafe impl Sync for SharedWords {}

impl SharedWords {
    /// Maps the first `words` words of a map.
    pub(crate) fn map(map: BorrowedFd<'_>, words: usize, writable: bool) -> io::Result<Self> {
        let protection = if writable {
            libc::PROT_READ | libc::PROT_WRITE
        } else {
            libc::PROT_READ
        };
        // SAFETY: a new mapping at an address of the kernel's choice touches no existing memory.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                words * 8,
                protection,
                libc::MAP_SHARED,
                map.as_raw_fd(),
                0,
            )
        };
        match NonNull::new(base.cast::<u8>()) {
            Some(base) if base.as_ptr().cast() != libc::MAP_FAILED => Ok(Self {
                base,
                words,
                writable,
            }),
            Some(_) | None => Err(io::Error::last_os_error()),
        }
    }

    /// Reads one word; `None` past the end.
    pub(crate) fn load(&self, word: usize) -> Option<u64> {
        // Acquire pairs with the publishing store: what was written before it is seen after it.
        self.word(word).map(|cell| cell.load(Ordering::Acquire))
    }

    /// Stores one word after all that was written before; `None` past the end.
    pub(crate) fn store(&self, word: usize, value: u64) -> Option<()> {
        let cell = self.word(word).filter(|_| self.writable)?;
        cell.store(value, Ordering::Release);
        Some(())
    }

    /// Stores half a word after all that was written before; `None` past the end.
    pub(crate) fn store_half(&self, half: usize, value: u32) -> Option<()> {
        if !self.writable || half / 2 >= self.words {
            return None;
        }
        // SAFETY: the check above bounds `half`; a half word is four bytes and so aligned, as the
        // mapping starts at a page. The mapping lives as long as `self`.
        let cell = unsafe { AtomicU32::from_ptr(self.base.as_ptr().cast::<u32>().add(half)) };
        cell.store(value, Ordering::Release);
        Some(())
    }

    fn word(&self, word: usize) -> Option<&AtomicU64> {
        if word >= self.words {
            return None;
        }
        // SAFETY: the check above bounds `word`; the mapping starts at a page, so each word is
        // aligned, and it lives as long as `self`. It is never written through when it was mapped
        // for reading: `store` checks.
        Some(unsafe { AtomicU64::from_ptr(self.base.as_ptr().cast::<u64>().add(word)) })
    }
}

impl Drop for SharedWords {
    fn drop(&mut self) {
        // SAFETY: this is the region that `map` got, and no reference into it outlives `self`.
        unsafe {
            libc::munmap(self.base.as_ptr().cast(), self.words * 8);
        }
    }
}
