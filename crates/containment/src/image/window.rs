//! The linear memory of a module: the start of a window of addresses, in ring 3 at a fixed one.

use core::sync::atomic::{AtomicU64, Ordering};

use allocator_api2::alloc::Global;
use allocator_api2::boxed::Box;
use bareflow_abi::memory::{CANNOT_GROW, MEMORY_PAGE_SIZE, WINDOW_SIZE};
use bareflow_loader::segments::{PAGE_SIZE, is_within};
use bareflow_loader::{Domain, LinearMemory, Usage};
use x86_64::structures::paging::PhysFrame;

use crate::layout::user as layout;
use crate::memory::page_tables::MapError;
use crate::memory::window_tables::WindowTables;

/// A linear memory.
#[derive(Debug)]
pub struct Window {
    tables: WindowTables,
    memory: LinearMemory,
    /// The address, as the module sees it.
    base: u64,
    /// The current size, in bytes.
    bytes: AtomicU64,
}

impl Window {
    /// Maps the pages that `memory` has at first, for the kernel and for modules in ring 0.
    pub fn new(memory: &LinearMemory, domain: Domain) -> Result<Box<Window>, MapError> {
        let tables = WindowTables::new(memory.maximum_bytes(), domain == Domain::Kernel)?;
        let base = if domain == Domain::Kernel { tables.start() } else { layout::WINDOW };
        let window = Window { tables, memory: *memory, base, bytes: AtomicU64::new(0) };
        window.resize(memory.initial_bytes())?;
        Box::try_new_in(window, Global).map_err(|_| MapError)
    }

    /// Returns the address, as the module sees it.
    pub const fn base(&self) -> u64 {
        self.base
    }

    /// Returns the directories of its pages, for a module in ring 3.
    pub fn directories(&self) -> impl Iterator<Item = PhysFrame> {
        self.tables.directories()
    }

    /// Returns the offset of the module's words in its data.
    pub const fn words(&self) -> u64 {
        self.memory.words as u64
    }

    /// Returns the current size, in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Returns the kernel's address of bytes of the memory that the module sees at `address`.
    pub fn alias_of(&self, address: u64, length: u64) -> Option<u64> {
        is_within(address, length, self.base, self.bytes()).then(|| address - self.base + self.tables.start())
    }

    /// Returns whether an address lies in the window, but not in the memory.
    pub fn is_beyond(&self, address: u64) -> bool {
        is_within(address, 1, self.base, WINDOW_SIZE) && !is_within(address, 1, self.base, self.bytes())
    }

    /// Adds pages. Returns the number of pages before, or [`CANNOT_GROW`]. The module's words are not written.
    pub fn grow(&self, pages: u64) -> u64 {
        let before = self.bytes();
        match self.memory.grown(before, pages).map(|bytes| self.resize(bytes)) {
            Some(Ok(())) => before / MEMORY_PAGE_SIZE,
            Some(Err(MapError)) | None => CANNOT_GROW,
        }
    }

    /// Makes the memory what it was at first. No code of the module is running, and no memory is needed.
    pub fn reset(&self) {
        let bytes = self.memory.initial_bytes();
        self.tables.unmap(bytes, self.bytes.swap(bytes, Ordering::Relaxed));
        // SAFETY: the pages of the memory are mapped writable there, and belong to this module alone, which is not running.
        unsafe { (self.tables.start() as *mut u8).write_bytes(0, bytes as usize) };
    }

    /// Returns the pages it takes, and the bytes of the kernel's heap.
    pub fn usage(&self) -> Usage {
        let pages = self.bytes() / PAGE_SIZE + self.tables.tables_held();
        Usage { pages, table_bytes: size_of::<Window>() as u64, ..Usage::default() }
    }

    fn resize(&self, bytes: u64) -> Result<(), MapError> {
        self.tables.map(self.bytes(), bytes)?;
        self.bytes.store(bytes, Ordering::Relaxed);
        Ok(())
    }
}
