//! The stacks that modules run on: mapped once, each with an unmapped guard below it. Each level of nested calls has
//! its own.

use std::io;
use std::ptr::{null_mut, without_provenance_mut};

use bareflow_loader::PeakUse;

/// The size of the unmapped guard below a stack, in bytes.
const GUARD_SIZE: u64 = 64 << 10;

/// The smallest stack a module can have, in bytes.
const MIN_SIZE: u64 = 4096;

/// The largest stack a module can have, in bytes.
const MAX_SIZE: u64 = 8 << 20;

/// The number of stacks. Calls that are nested more deeply share the last one.
const LEVELS: u64 = bareflow_loader::MAX_DEPTH as u64;

/// The distance from one stack's guard to the next one's, in bytes.
const LEVEL_SIZE: u64 = GUARD_SIZE + MAX_SIZE;

/// All stacks. A module's stack ends at the bottom of one, and its top is as far above as its budget allows.
#[derive(Debug)]
pub(crate) struct Stack {
    guard: u64,
}

impl Stack {
    /// Reserves the addresses; the system provides pages when they are used.
    pub fn map() -> io::Result<Stack> {
        let size = (LEVELS * LEVEL_SIZE) as usize;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: the system chooses the address, so nothing is replaced.
        let start = unsafe { libc::mmap(null_mut(), size, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let stack = Stack { guard: start.addr() as u64 };
        for level in 0..LEVELS {
            let guard = start.wrapping_byte_add((level * LEVEL_SIZE) as usize);
            // SAFETY: the pages were just mapped, and nothing uses them.
            if unsafe { libc::mprotect(guard, GUARD_SIZE as usize, libc::PROT_NONE) } != 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(stack)
    }

    /// Returns the lowest address of the first stack.
    pub const fn bottom(&self) -> u64 {
        self.guard + GUARD_SIZE
    }

    /// Returns the top of a stack of `budget` bytes in the first one, as far as that is possible.
    pub fn top(&self, budget: u32) -> u64 {
        self.bottom() + (u64::from(budget) & !15).clamp(MIN_SIZE, MAX_SIZE)
    }

    /// Returns the lowest address of the stack with the top `top`.
    pub const fn bottom_below(&self, top: u64) -> u64 {
        self.bottom() + (top - self.bottom() - 1) / LEVEL_SIZE * LEVEL_SIZE
    }

    /// Returns the stack's top for a call that is nested in one whose stack has the top `outer`; `top` is the one that
    /// it would have if it were not nested. `None` if there are no more stacks.
    pub const fn above(&self, top: u64, outer: u64) -> Option<u64> {
        let shift = self.bottom_below(outer) - self.bottom() + LEVEL_SIZE;
        if shift < LEVELS * LEVEL_SIZE { Some(top + shift) } else { None }
    }

    /// Returns the first address, that of a guard, and the one after the last.
    pub const fn range(&self) -> (u64, u64) {
        (self.guard, self.guard + LEVELS * LEVEL_SIZE)
    }

    /// Returns the number of bytes that calls have used of the stack with the top `top`, which was zeroed at first.
    pub fn peak_below(&self, top: u64) -> u64 {
        let bottom = self.bottom_below(top);
        let words = std::ptr::with_exposed_provenance(bottom as usize);
        // SAFETY: the stack's pages are mapped, and nothing runs on it now.
        PeakUse::of_stack(unsafe { std::slice::from_raw_parts(words, (top - bottom) as usize / 8) })
    }

    /// Returns the same stacks, for a copy of this process that never drops them.
    pub const fn alias(&self) -> Stack {
        Stack { guard: self.guard }
    }

    /// Whether `address` lies in a guard, into which a stack overflow runs.
    pub const fn guards(&self, address: u64) -> bool {
        let (start, end) = self.range();
        address >= start && address < end && (address - start) % LEVEL_SIZE < GUARD_SIZE
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let size = (LEVELS * LEVEL_SIZE) as usize;
        // SAFETY: `map` mapped these pages, and no call is running when its platform is dropped.
        unsafe { libc::munmap(without_provenance_mut(self.guard as usize), size) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_in_calls_have_stacks_of_their_own() {
        let stack = Stack::map().unwrap();
        let top = stack.bottom() + 4096;
        let mut outer = top;
        for level in 1..LEVELS {
            let next = stack.above(top, outer).unwrap();
            assert_eq!((next - top, next - stack.bottom_below(next)), (level * LEVEL_SIZE, 4096));
            assert!(stack.guards(stack.bottom_below(next) - 1) && !stack.guards(next - 1));
            outer = next;
        }
        assert_eq!(stack.above(top, outer), None);
    }
}
