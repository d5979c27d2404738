//! Memory that this process shares with one that a module runs in.
//!
//! Whatever is read here may be written by the other side at the same time:
//! it is copied once, and judged afterwards.

use std::arch::asm;
use std::cell::Cell;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::{null_mut, with_exposed_provenance, without_provenance_mut};
use std::sync::atomic::AtomicU64;

use bareflow_loader::segments::PAGE_SIZE;

use crate::handoff::{Handoff, SpinBudget};

/// Addresses there are for one channel: memory comes behind them as calls need it.
const SPAN: u64 = 8 << 30;

/// Bytes there are between calls; memory comes when they are used.
pub(crate) const KEPT: u64 = 4 << 20;

/// Words of a message.
pub(crate) const WORDS: usize = 160;

/// Where the data begins.
const DATA: u64 = PAGE_SIZE;

/// What the first page holds.
#[repr(C)]
struct Head {
    handoff: Handoff,
    words: [AtomicU64; WORDS],
}

/// One channel. Both sides have it at the same address.
#[derive(Debug)]
pub(crate) struct Channel {
    base: u64,
    memory: OwnedFd,
    /// Bytes that have memory, the first page included.
    size: Cell<u64>,
    /// How long each side looks for its turn.
    pub spin_budget: SpinBudget,
}

impl Channel {
    /// A channel with [`KEPT`] bytes.
    pub fn new() -> io::Result<Channel> {
        // SAFETY: the name is a C string.
        let memory = unsafe { libc::memfd_create(c"bareflow".as_ptr(), libc::MFD_CLOEXEC) };
        if memory < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor was just made, and nobody else has it.
        let memory = unsafe { OwnedFd::from_raw_fd(memory) };
        let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_NORESERVE);
        // SAFETY: the system chooses the place, so that nothing is replaced.
        let start = unsafe { libc::mmap(null_mut(), SPAN as usize, protection, flags, memory.as_raw_fd(), 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let channel = Channel {
            base: start.expose_provenance() as u64,
            memory,
            size: Cell::new(0),
            spin_budget: SpinBudget::of_process(),
        };
        channel.resize(KEPT)?;
        Ok(channel)
    }

    /// Keeps the channel from processes that are made from now on.
    pub fn keep_from_others(&self) -> io::Result<()> {
        // SAFETY: the range is this channel's; it stays as it is in this process.
        let result = unsafe { libc::madvise(self.start(), SPAN as usize, libc::MADV_DONTFORK) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Its first address, and the one behind its last.
    pub const fn range(&self) -> (u64, u64) {
        (self.base, self.base + SPAN)
    }

    /// Sees to it that there are at least `bytes` of data.
    pub fn grow(&self, bytes: u64) -> io::Result<()> {
        let size = bytes.checked_add(DATA).filter(|&size| size <= SPAN).ok_or(io::ErrorKind::OutOfMemory)?;
        if size <= self.size.get() {
            return Ok(());
        }
        // Memory that can't be had would otherwise be noticed on access only.
        // SAFETY: touches no memory but what the channel has not had so far.
        while unsafe { libc::fallocate(self.memory.as_raw_fd(), 0, 0, size.cast_signed()) } != 0 {
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
        self.resize(size)
    }

    /// Takes note that the other side has seen to at least `bytes` of data.
    pub fn note_grown(&self, bytes: u64) {
        self.size.set(self.size.get().max(bytes.saturating_add(DATA)));
    }

    /// Gives memory back beyond [`KEPT`] bytes.
    pub fn shrink(&self) -> io::Result<()> {
        if self.size.get() > KEPT { self.resize(KEPT) } else { Ok(()) }
    }

    fn resize(&self, size: u64) -> io::Result<()> {
        let size = size.next_multiple_of(PAGE_SIZE);
        // SAFETY: nobody has references to the channel's data.
        if unsafe { libc::ftruncate(self.memory.as_raw_fd(), size.cast_signed()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        self.size.set(size);
        Ok(())
    }

    /// Bytes of data.
    pub const fn room(&self) -> u64 {
        self.size.get() - DATA
    }

    /// The address of the data's byte at `offset`.
    pub const fn data(&self, offset: u64) -> u64 {
        self.base + DATA + offset
    }

    /// Copies bytes to the data at `offset`.
    pub fn put(&self, offset: u64, bytes: &[u8]) {
        self.check(offset, bytes.len());
        // SAFETY: the data's range has just been checked.
        unsafe { copy(bytes.as_ptr().expose_provenance() as u64, self.data(offset), bytes.len()) };
    }

    /// Copies bytes from the data at `offset`.
    pub fn get(&self, offset: u64, bytes: &mut [u8]) {
        self.check(offset, bytes.len());
        // SAFETY: the data's range has just been checked.
        unsafe { copy(self.data(offset), bytes.as_mut_ptr().expose_provenance() as u64, bytes.len()) };
    }

    /// Writes zeros over the data at `offset`.
    pub fn clear(&self, offset: u64, length: usize) {
        self.check(offset, length);
        let start = self.data(offset);
        // SAFETY: the data's range has just been checked; the direction flag is clear (System V ABI 3.2.1).
        unsafe {
            asm!("rep stosb", inout("rdi") start => _, inout("rcx") length => _, in("al") 0_u8, options(nostack))
        };
    }

    fn check(&self, offset: u64, length: usize) {
        assert!(offset + length as u64 <= self.room(), "{length} bytes at {offset} of a channel");
    }

    /// Whose turn it is.
    pub fn handoff(&self) -> &Handoff {
        &self.head().handoff
    }

    /// The words of the message that is being written or read.
    pub fn words(&self) -> &[AtomicU64; WORDS] {
        &self.head().words
    }

    fn head(&self) -> &Head {
        // SAFETY: the mapping begins with it, zeroed at first, and is there as long as the
        // channel. It holds nothing but atomic integers, which the other side may change.
        unsafe { &*with_exposed_provenance(self.base as usize) }
    }

    const fn start(&self) -> *mut libc::c_void {
        without_provenance_mut(self.base as usize)
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        // SAFETY: `new` mapped the range, and nobody has references to it.
        unsafe { libc::munmap(self.start(), SPAN as usize) };
    }
}

/// Copies bytes that another process may be changing, which the compiler must not know of.
///
/// # Safety
/// Both ranges are mapped, and the second is nobody else's in this process.
unsafe fn copy(from: u64, to: u64, length: usize) {
    // SAFETY: as the caller promises; the direction flag is clear (System V ABI 3.2.1).
    unsafe {
        asm!("rep movsb", inout("rsi") from => _, inout("rdi") to => _, inout("rcx") length => _, options(nostack));
    }
}
