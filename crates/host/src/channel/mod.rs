//! Memory shared between this process and one in which a module runs.
//!
//! The other side may write to it at any time. Anything read from here is therefore copied once, and checked
//! afterwards.
//!
//! Crates for messages between processes, such as `ipc-channel`, send over sockets and allocate. The process of a module
//! may do neither: all that is left to it is to sleep on one word of this memory (`handoff`). Messages are words here,
//! read one by one (`message`, `codec`), and not bytes that a serializer would read while the other side changes them.

mod codec;
pub(crate) mod handoff;
pub(crate) mod message;

use std::arch::asm;
use std::cell::Cell;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::{null_mut, with_exposed_provenance, without_provenance_mut};
use std::sync::atomic::AtomicU64;

use bareflow_loader::segments::PAGE_SIZE;

use self::handoff::{Handoff, SpinBudget};

/// The address space of a channel, in bytes; memory is added as calls need it.
const SPAN: u64 = 8 << 30;

/// The bytes that stay between calls; the system provides pages when they are used.
pub(crate) const KEPT: u64 = 4 << 20;

/// The number of words of a message.
pub(crate) const WORDS: usize = 160;

/// The offset of the data.
const DATA: u64 = PAGE_SIZE;

/// The contents of the first page.
#[repr(C)]
struct Head {
    handoff: Handoff,
    words: [AtomicU64; WORDS],
}

/// A channel. Both sides map it at the same address.
#[derive(Debug)]
pub(crate) struct Channel {
    base: u64,
    memory: OwnedFd,
    /// The bytes that have memory, including the first page.
    size: Cell<u64>,
    /// The time that each side spins before it sleeps.
    pub spin_budget: SpinBudget,
}

impl Channel {
    /// Makes a channel with [`KEPT`] bytes.
    pub fn new() -> io::Result<Channel> {
        // SAFETY: the name is a C string.
        let memory = unsafe { libc::memfd_create(c"bareflow".as_ptr(), libc::MFD_CLOEXEC) };
        if memory < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor was just made, and no one else has it.
        let memory = unsafe { OwnedFd::from_raw_fd(memory) };
        let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_NORESERVE);
        // SAFETY: the system chooses the address, so nothing is replaced.
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

    /// Keeps the channel out of processes that are forked from now on.
    pub fn keep_from_others(&self) -> io::Result<()> {
        // SAFETY: the range is this channel's; nothing changes in this process.
        let result = unsafe { libc::madvise(self.start(), SPAN as usize, libc::MADV_DONTFORK) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Returns the channel's first address, and the one after its last.
    pub const fn range(&self) -> (u64, u64) {
        (self.base, self.base + SPAN)
    }

    /// Ensures that there are at least `bytes` of data.
    pub fn grow(&self, bytes: u64) -> io::Result<()> {
        let size = bytes.checked_add(DATA).filter(|&size| size <= SPAN).ok_or(io::ErrorKind::OutOfMemory)?;
        if size <= self.size.get() {
            return Ok(());
        }
        // Without this, missing memory would only be noticed on access.
        // SAFETY: affects only memory that the channel has not had so far.
        while unsafe { libc::fallocate(self.memory.as_raw_fd(), 0, 0, size.cast_signed()) } != 0 {
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
        self.resize(size)
    }

    /// Records that the other side has ensured at least `bytes` of data.
    pub fn note_grown(&self, bytes: u64) {
        self.size.set(self.size.get().max(bytes.saturating_add(DATA)));
    }

    /// Returns the memory beyond [`KEPT`] bytes to the system.
    pub fn shrink(&self) -> io::Result<()> {
        if self.size.get() > KEPT { self.resize(KEPT) } else { Ok(()) }
    }

    fn resize(&self, size: u64) -> io::Result<()> {
        let size = size.next_multiple_of(PAGE_SIZE);
        // SAFETY: there are no references to the channel's data.
        if unsafe { libc::ftruncate(self.memory.as_raw_fd(), size.cast_signed()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        self.size.set(size);
        Ok(())
    }

    /// Returns the number of bytes of data.
    pub const fn room(&self) -> u64 {
        self.size.get() - DATA
    }

    /// Returns the address of the data's byte at `offset`.
    pub const fn data(&self, offset: u64) -> u64 {
        self.base + DATA + offset
    }

    /// Copies bytes to the data at `offset`.
    pub fn put(&self, offset: u64, bytes: &[u8]) {
        self.check(offset, bytes.len());
        // SAFETY: the data's range has just been checked.
        unsafe { copy_across(bytes.as_ptr().expose_provenance() as u64, self.data(offset), bytes.len()) };
    }

    /// Copies bytes from the data at `offset`.
    pub fn get(&self, offset: u64, bytes: &mut [u8]) {
        self.check(offset, bytes.len());
        // SAFETY: the data's range has just been checked.
        unsafe { copy_across(self.data(offset), bytes.as_mut_ptr().expose_provenance() as u64, bytes.len()) };
    }

    /// Fills the data at `offset` with zeros.
    pub fn clear(&self, offset: u64, length: usize) {
        self.check(offset, length);
        let start = self.data(offset);
        // SAFETY: the data's range has just been checked; the direction flag is clear (System V ABI 3.2.1).
        unsafe {
            asm!("rep stosb", inout("rdi") start => _, inout("rcx") length => _, in("al") 0_u8, options(nostack))
        };
    }

    fn check(&self, offset: u64, length: usize) {
        let end = offset.checked_add(length as u64);
        assert!(end.is_some_and(|end| end <= self.room()), "{length} bytes at {offset} of a channel");
    }

    /// Returns the side whose turn it is.
    pub fn handoff(&self) -> &Handoff {
        &self.head().handoff
    }

    /// Returns the words of the message that is being written or read.
    pub fn words(&self) -> &[AtomicU64; WORDS] {
        &self.head().words
    }

    fn head(&self) -> &Head {
        // SAFETY: the mapping begins with the head, zeroed at first, and exists as long as the channel. The head
        // consists of atomic integers only, which the other side may change.
        unsafe { &*with_exposed_provenance(self.base as usize) }
    }

    const fn start(&self) -> *mut libc::c_void {
        without_provenance_mut(self.base as usize)
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        // SAFETY: `new` mapped the range, and there are no references to it.
        unsafe { libc::munmap(self.start(), SPAN as usize) };
    }
}

/// Copies bytes that another process may be changing, in a way that is opaque to the compiler.
///
/// # Safety
/// Both ranges are mapped, and no one else in this process uses the second.
pub(crate) unsafe fn copy_across(from: u64, to: u64, length: usize) {
    // SAFETY: as the caller promises; the direction flag is clear (System V ABI 3.2.1).
    unsafe {
        asm!("rep movsb", inout("rsi") from => _, inout("rdi") to => _, inout("rcx") length => _, options(nostack));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "2 bytes at 18446744073709551615 of a channel")]
    fn refuses_a_range_that_wraps_around() {
        Channel::new().unwrap().put(u64::MAX, b"ab");
    }

    #[test]
    #[should_panic(expected = "of a channel")]
    fn refuses_a_byte_behind_the_last() {
        let channel = Channel::new().unwrap();
        channel.clear(channel.room(), 1);
    }
}
