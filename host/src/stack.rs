//! The stack that modules run on: mapped once, with nothing mapped below it.

use std::io;
use std::ptr::{null_mut, without_provenance_mut};

/// Bytes below the stack that are never mapped.
const GUARD_SIZE: u64 = 64 << 10;

/// The largest stack a module can have, in bytes.
pub(crate) const MAX_SIZE: u64 = 8 << 20;

/// One stack. A module's ends at the bottom, and begins as far above it as its budget allows.
#[derive(Debug)]
pub(crate) struct Stack {
    guard: u64,
}

impl Stack {
    /// Reserves the addresses; pages come when they are used.
    pub fn map() -> io::Result<Stack> {
        let size = (GUARD_SIZE + MAX_SIZE) as usize;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: the system chooses the place, so that nothing is replaced.
        let start = unsafe { libc::mmap(null_mut(), size, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let stack = Stack { guard: start.addr() as u64 };
        // SAFETY: the pages were just mapped and nobody uses them.
        if unsafe { libc::mprotect(start, GUARD_SIZE as usize, libc::PROT_NONE) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(stack)
    }

    /// The lowest address of the stack.
    pub const fn bottom(&self) -> u64 {
        self.guard + GUARD_SIZE
    }

    /// Its first address, that of the guard, and the one behind its last.
    pub const fn range(&self) -> (u64, u64) {
        (self.guard, self.bottom() + MAX_SIZE)
    }

    /// The same stack, for a copy of this process that never drops it.
    pub const fn alias(&self) -> Stack {
        Stack { guard: self.guard }
    }

    /// Whether `address` lies where a stack that is too large runs into.
    pub const fn guards(&self, address: u64) -> bool {
        address >= self.guard && address < self.bottom()
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let size = (GUARD_SIZE + MAX_SIZE) as usize;
        // SAFETY: `map` mapped these pages, and no call is under way when its platform is dropped.
        unsafe { libc::munmap(without_provenance_mut(self.guard as usize), size) };
    }
}
