//! The buffers of a module of the user domain for its calls' inputs and outputs.

use core::sync::atomic::{AtomicU64, Ordering};

use bareflow_loader::segments::is_within;
use spin::Mutex;
use x86_64::structures::paging::PageTableFlags;

use super::pages::Pages;
use crate::layout::user as layout;
use crate::memory::address_space::AddressSpace;
use crate::memory::frames::Reservation;
use crate::memory::page_tables::MapError;

/// The buffer of the input or the output. Its pages are mapped by the first call that needs them. Until then frames
/// are reserved for them, so that a loaded module can be called, whatever was loaded after it.
#[derive(Debug)]
pub struct MappedBuffer {
    reservation: Reservation,
    address: u64,
    pub pages: Mutex<Option<Pages>>,
    /// The kernel's address of the pages, and their size in bytes.
    pub alias: AtomicU64,
    pub size: AtomicU64,
}

impl MappedBuffer {
    /// Creates a buffer without pages at the module's `address`, for which `frames` frames are reserved.
    pub fn new(address: u64, frames: u64) -> Result<MappedBuffer, MapError> {
        let reservation = Reservation::new(frames).ok_or(MapError)?;
        Ok(MappedBuffer {
            reservation,
            address,
            pages: Mutex::new(None),
            alias: AtomicU64::new(0),
            size: AtomicU64::new(0),
        })
    }

    /// Makes room for `bytes`, visible in `space` with `flags`.
    #[cold]
    #[inline(never)]
    pub fn grow(&self, bytes: u64, space: &AddressSpace, flags: PageTableFlags) -> Result<(), MapError> {
        if bytes > layout::BUFFER_ROOM {
            return Err(MapError);
        }
        let reserved = self.reservation.end();
        let fresh = match Pages::new(bytes) {
            Ok(fresh) => fresh,
            Err(error) => {
                // This call asked for too much; the next one may ask for less.
                self.reservation.renew(reserved);
                return Err(error);
            }
        };
        space.unmap(self.address, self.size.swap(0, Ordering::Relaxed));
        *self.pages.lock() = None;
        if let Err(error) = space.map(self.address, fresh.start, fresh.size, flags) {
            // The module must not see any page that is freed.
            space.unmap(self.address, fresh.size);
            drop(fresh);
            self.reservation.renew(reserved);
            return Err(error);
        }
        self.alias.store(fresh.start, Ordering::Relaxed);
        self.size.store(fresh.size, Ordering::Relaxed);
        *self.pages.lock() = Some(fresh);
        Ok(())
    }

    /// Returns where the kernel has the `length` bytes from offset `at` on, if the buffer has that many.
    #[inline]
    pub fn room_at(&self, at: usize, length: usize) -> Option<*mut u8> {
        let inside = at.checked_add(length)? as u64 <= self.size.load(Ordering::Relaxed);
        inside.then(|| (self.alias.load(Ordering::Relaxed) as usize + at) as *mut u8)
    }

    /// Returns the kernel's address of bytes that the module sees at `address`.
    pub fn alias_of(&self, address: u64, length: u64) -> Option<u64> {
        let inside = is_within(address, length, self.address, self.size.load(Ordering::Relaxed));
        inside.then(|| address - self.address + self.alias.load(Ordering::Relaxed))
    }
}
