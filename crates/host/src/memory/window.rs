//! The linear memory of a module: the start of a window of addresses, in a file in memory that is as long as the memory.
//!
//! The whole window is mapped from the beginning, and an access beyond the end of the file is a signal. So the memory of a
//! module in a process of its own grows without that process mapping anything: this one makes the file longer.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr::with_exposed_provenance_mut;

use bareflow_abi::memory::{CANNOT_GROW, MEMORY_PAGE_SIZE, WINDOW_SIZE};
use bareflow_loader::LinearMemory;
use bareflow_loader::segments::is_within;

use super::map;
use crate::channel::copy_across;

/// The bytes that are copied at once.
const PIECE_BYTES: u64 = 64 << 10;

/// A linear memory.
#[derive(Debug)]
pub(crate) struct Window {
    base: u64,
    file: OwnedFd,
    memory: LinearMemory,
    /// The current size, in bytes.
    bytes: Cell<u64>,
}

impl Window {
    /// Maps a window with the pages that `memory` has at first.
    pub fn map(memory: &LinearMemory) -> io::Result<Window> {
        let file = map::memory_file(c"bareflow-memory", 0)?;
        let base = map::map_file(file.as_raw_fd(), 0, 0, WINDOW_SIZE, libc::PROT_READ | libc::PROT_WRITE)?;
        let window = Window { base, file, memory: *memory, bytes: Cell::new(0) };
        match window.resize(memory.initial_bytes()) {
            true => Ok(window),
            false => Err(io::ErrorKind::OutOfMemory.into()),
        }
    }

    /// Keeps the window out of processes that are copied from now on.
    pub fn keep_from_copies(&self) -> io::Result<()> {
        map::keep_from_copies(self.base, WINDOW_SIZE)
    }

    /// Returns the address.
    pub const fn base(&self) -> u64 {
        self.base
    }

    /// Returns the current size, in bytes.
    pub const fn bytes(&self) -> u64 {
        self.bytes.get()
    }

    /// Returns the window's first address, and the one after its last.
    pub const fn range(&self) -> (u64, u64) {
        (self.base, self.base + WINDOW_SIZE)
    }

    /// Returns the offset of the module's words in its data.
    pub const fn words(&self) -> u64 {
        self.memory.words as u64
    }

    /// Returns whether bytes lie in the memory.
    pub const fn contains(&self, address: u64, length: u64) -> bool {
        is_within(address, length, self.base, self.bytes.get())
    }

    /// Returns whether an address lies in the window, but not in the memory.
    pub const fn is_beyond(&self, address: u64) -> bool {
        is_within(address, 1, self.base, WINDOW_SIZE) && !self.contains(address, 1)
    }

    /// Adds pages. Returns the number of pages before, or [`CANNOT_GROW`]. The module's words are not written.
    pub fn grow(&self, pages: u64) -> u64 {
        let before = self.bytes.get();
        match self.memory.grown(before, pages) {
            Some(grown) if self.resize(grown) => before / MEMORY_PAGE_SIZE,
            _ => CANNOT_GROW,
        }
    }

    /// Notes the size that the memory has by now, in the process of its module.
    pub fn note_grown(&self, bytes: u64) {
        self.bytes.set(bytes);
    }

    /// Passes bytes of the memory to `look`. The module runs in this process, and no call of it is running. Returns whether
    /// all of them lie in the memory.
    pub fn reach(&self, address: u64, length: u64, look: &mut dyn FnMut(&mut [u8])) -> bool {
        let is_there = self.contains(address, length);
        if is_there && length > 0 {
            let start = with_exposed_provenance_mut(address as usize);
            // SAFETY: these bytes of the memory are mapped here, and no one else uses them while its module does not run.
            look(unsafe { std::slice::from_raw_parts_mut(start, length as usize) });
        }
        is_there
    }

    /// Passes bytes of the memory to `look`, by a copy that goes there and back: the module's process may be writing to them,
    /// whatever it should do. Returns whether there was memory for the copy.
    pub fn reach_by_copy(&self, address: u64, length: u64, look: &mut dyn FnMut(&mut [u8])) -> bool {
        let mut piece = Vec::new();
        if !self.contains(address, length) || piece.try_reserve_exact(length.min(PIECE_BYTES) as usize).is_err() {
            return false;
        }
        for at in (address..address + length).step_by(PIECE_BYTES as usize) {
            piece.resize((address + length - at).min(PIECE_BYTES) as usize, 0);
            let copy = piece.as_mut_ptr().expose_provenance() as u64;
            // SAFETY: the bytes of the memory are mapped, as was just checked, and the copy is this function's own.
            unsafe { copy_across(at, copy, piece.len()) };
            look(&mut piece);
            // SAFETY: as above.
            unsafe { copy_across(copy, at, piece.len()) };
        }
        true
    }

    /// Makes the file longer, with memory for all of it: without that, missing memory would only be noticed on access.
    fn resize(&self, bytes: u64) -> bool {
        let (before, file) = (self.bytes.get(), self.file.as_raw_fd());
        if bytes > before && map::change_file(file, 0, before, bytes - before).is_err() {
            // What was added before the memory ran out goes back.
            map::cut_file(file, before);
            return false;
        }
        self.bytes.set(bytes);
        true
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        map::unmap(self.base, WINDOW_SIZE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_to_its_maximum_and_no_further() {
        let memory = LinearMemory { words: 0, initial_pages: 1, maximum_pages: 3, needs_window: true };
        let window = Window::map(&memory).unwrap();
        assert_eq!([window.grow(3), window.grow(2), window.grow(1), window.grow(0)], [CANNOT_GROW, 1, CANNOT_GROW, 3]);
        assert!(window.contains(window.base(), 3 * MEMORY_PAGE_SIZE));
        assert!(!window.contains(window.base(), 3 * MEMORY_PAGE_SIZE + 1) && !window.contains(window.base() - 1, 2));
        let (start, end) = window.range();
        assert!(!window.is_beyond(start) && window.is_beyond(start + 3 * MEMORY_PAGE_SIZE));
        assert!(window.is_beyond(end - 1) && !window.is_beyond(end));
        let mut seen = 0;
        let mut write = |bytes: &mut [u8]| bytes.fill(7);
        assert!(window.reach(start + 1, 2 * MEMORY_PAGE_SIZE, &mut write));
        assert!(window.reach_by_copy(start, 3 * MEMORY_PAGE_SIZE, &mut |bytes| {
            seen += bytes.iter().filter(|&&byte| byte == 7).count() as u64;
            bytes.fill(8);
        }));
        assert_eq!(seen, 2 * MEMORY_PAGE_SIZE);
        assert!(window.reach(start, 3 * MEMORY_PAGE_SIZE, &mut |bytes| assert!(bytes.iter().all(|&byte| byte == 8))));
        assert!(!window.reach_by_copy(start, 3 * MEMORY_PAGE_SIZE + 1, &mut write));
    }
}
