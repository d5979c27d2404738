//! The knowledge that each side of a ring has of it.

use core::sync::atomic::Ordering;

use super::RingError;
use super::memory::RingMemory;
use crate::interface::Plain;
use crate::shared::bytes::SharedBytes;

/// One side of a ring: its own index, which it never reads from memory that the other side can write, and a copy of the
/// other's.
pub(super) struct Side<'memory, T> {
    pub memory: RingMemory<'memory, T>,
    pub own: u32,
    pub cached: u32,
}

impl<'memory, T: Plain> Side<'memory, T> {
    pub fn new(bytes: SharedBytes<'memory>, position: u64, (own, other): (usize, usize)) -> Result<Self, RingError> {
        let memory = RingMemory::new(bytes, own, other)?;
        Ok(Side { memory, own: position as u32, cached: (position >> 32) as u32 })
    }

    pub const fn position(&self) -> u64 {
        self.own as u64 | (self.cached as u64) << 32
    }

    /// Reads the other side's index again, which may be at most `reach` ahead of the copy.
    #[cold]
    #[inline(never)]
    pub fn refresh(&mut self, reach: u32) -> Result<(), RingError> {
        let now = self.memory.other.load(Ordering::Acquire);
        if now.wrapping_sub(self.cached) > reach {
            return Err(RingError::BadIndex);
        }
        self.cached = now;
        Ok(())
    }

    /// Makes the next element the other side's.
    #[inline]
    pub fn advance(&mut self) {
        self.own = self.own.wrapping_add(1);
        self.memory.own.store(self.own, Ordering::Release);
    }
}
