//! The room in which the linear memory lies.

use alloc::vec::Vec;
use core::ptr::{NonNull, copy_nonoverlapping};
use core::slice::from_raw_parts_mut;

use bareflow_portable::PAGE_BYTES;
use wasmi::{AsContextMut, Error, Memory, MemoryType, TrapCode};

use crate::fault::Fault;

/// Room for a memory, of which only one is made.
#[derive(Debug)]
pub struct Room {
    start: NonNull<u8>,
    bytes: usize,
}

impl Room {
    /// Takes memory as room.
    pub fn new(bytes: &'static mut [u8]) -> Room {
        Room { bytes: bytes.len(), start: NonNull::from(bytes).cast() }
    }

    /// Makes a memory of `pages` pages of zeros.
    ///
    /// # Errors
    /// If the room has fewer.
    pub fn zeroed(self, store: impl AsContextMut, pages: u32) -> Result<Memory, Fault> {
        let memory_type = MemoryType::new(pages, Some((self.bytes as u64 / PAGE_BYTES) as u32));
        // SAFETY: `new` took the memory for ever, and this is its one use.
        let bytes = unsafe { from_raw_parts_mut(self.start.as_ptr(), self.bytes) };
        Memory::new_static(store, memory_type, bytes).map_err(Fault::from)
    }

    /// Makes a memory of `pages` pages that keeps what is in the room.
    ///
    /// wasmi fills what it takes with zeros, so it takes page after page, and gets each back.
    ///
    /// # Errors
    /// If the room has fewer, or there is no memory to put a page aside.
    pub fn kept(self, mut store: impl AsContextMut, pages: u32) -> Result<Memory, Fault> {
        let page = PAGE_BYTES as usize;
        let mut aside = Vec::new();
        aside.try_reserve_exact(page).map_err(|_| Fault::OutOfHeap)?;
        aside.resize(page, 0);
        let (start, bytes) = (self.start, self.bytes);
        let memory = self.zeroed(store.as_context_mut(), 0)?;
        for place in (0..pages as usize).map(|number| number * page) {
            if place + page > bytes {
                return Err(Error::from(TrapCode::MemoryOutOfBounds).into());
            }
            // SAFETY: the page lies in the room, as was just checked, and wasmi does not use it yet.
            unsafe { copy_nonoverlapping(start.as_ptr().add(place), aside.as_mut_ptr(), page) };
            memory.grow(store.as_context_mut(), 1).map_err(Error::from)?;
            memory.write(store.as_context_mut(), place, &aside).map_err(Error::from)?;
        }
        Ok(memory)
    }
}
