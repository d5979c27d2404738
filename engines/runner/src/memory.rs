//! The room in which the linear memory lies.

use alloc::vec::Vec;
use core::ptr::{NonNull, copy_nonoverlapping};
use core::slice::from_raw_parts_mut;

use bareflow_abi::memory::MEMORY_PAGE_SIZE;
use wasmi::{AsContextMut, Error, Memory, MemoryType, TrapCode};

use crate::fault::Fault;

/// Room for a memory, of which only one is made.
///
/// It lies in the module's data, where all of it is mapped, or is a window, where the loader maps pages when the memory grows.
#[derive(Debug)]
pub struct Room {
    start: NonNull<u8>,
    mapped_bytes: usize,
    bytes: usize,
}

impl Room {
    /// Takes `bytes` of addresses as room, of which `mapped_bytes` are mapped.
    ///
    /// # Safety
    /// `start` is not null, those bytes are zero or an instance's, and nothing else refers to any of the addresses for ever.
    pub unsafe fn new(start: *mut u8, mapped_bytes: usize, bytes: usize) -> Room {
        // SAFETY: as the caller promises.
        Room { start: unsafe { NonNull::new_unchecked(start) }, mapped_bytes, bytes }
    }

    /// Returns how many bytes are mapped at first.
    pub fn mapped_bytes(&self) -> usize {
        self.mapped_bytes
    }

    /// Makes a memory of `pages` pages of zeros.
    ///
    /// # Errors
    /// If the room has fewer.
    pub fn zeroed(self, store: impl AsContextMut, pages: u32) -> Result<Memory, Fault> {
        let memory_type = MemoryType::new(pages, Some((self.bytes as u64 / MEMORY_PAGE_SIZE) as u32));
        // SAFETY: `new` took the addresses for ever, and this is their one use. wasmi touches only what is memory, which the
        // store's limiter has mapped before.
        let bytes = unsafe { from_raw_parts_mut(self.start.as_ptr(), self.bytes) };
        Memory::new_static(store, memory_type, bytes).map_err(Fault::from)
    }

    /// Makes a memory of `length` bytes that keeps what is in the room.
    ///
    /// wasmi fills what it takes with zeros, so it takes page after page, and gets each back.
    ///
    /// # Errors
    /// If less is mapped, or there is no memory to put a page aside.
    pub fn kept(self, mut store: impl AsContextMut, length: usize) -> Result<Memory, Fault> {
        if length > self.mapped_bytes {
            return Err(Error::from(TrapCode::MemoryOutOfBounds).into());
        }
        let page = MEMORY_PAGE_SIZE as usize;
        let mut aside = Vec::new();
        aside.try_reserve_exact(page).map_err(|_| Fault::OutOfHeap)?;
        aside.resize(page, 0);
        let start = self.start;
        let memory = self.zeroed(store.as_context_mut(), 0)?;
        for place in (0..length / page).map(|number| number * page) {
            // SAFETY: the page is mapped, as was checked, and wasmi does not use it yet.
            unsafe { copy_nonoverlapping(start.as_ptr().add(place), aside.as_mut_ptr(), page) };
            memory.grow(store.as_context_mut(), 1).map_err(Error::from)?;
            memory.write(store.as_context_mut(), place, &aside).map_err(Error::from)?;
        }
        Ok(memory)
    }
}
