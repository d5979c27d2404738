//! The page tables of windows: many addresses each, of which the first are a linear memory that grows.
//!
//! A window has a directory for each GiB that its memory may reach. The kernel's tables point to it, by addresses of their
//! own, and so do those of a module in ring 3: a page is mapped for both by one entry. Ring 3 may use the entries of the
//! directory; it does not get at them by the kernel's addresses, since the kernel's entries that point there are not for it.

use core::sync::atomic::{AtomicU64, Ordering};

use allocator_api2::alloc::Global;
use bareflow_abi::memory::WINDOW_SIZE;
use bareflow_loader::RangeAllocator;
use spin::Mutex;
use x86_64::PhysAddr;
use x86_64::instructions::tlb;
use x86_64::structures::paging::{FrameAllocator, PageTable, PageTableFlags, PhysFrame};

use super::address_space::WRITE;
use super::page_tables::{MapError, kernel_root};
use super::{frames, physical};
use crate::layout::PAGE_SIZE;

/// The bytes that a directory maps.
const DIRECTORY_BYTES: u64 = 1 << 30;

/// The number of entries of a table.
const ENTRIES: u64 = 512;

/// The root's entries for windows, all behind each other. They are taken where the kernel has none.
const ROOT_ENTRIES: u64 = 8;

/// The most directories of a window: its memory has at most 4 GiB.
const MOST_DIRECTORIES: usize = 4;

/// The flags of tables: the same for the kernel and for a module in ring 3, which has another way to the directory.
const TABLE: PageTableFlags =
    PageTableFlags::PRESENT.union(PageTableFlags::WRITABLE).union(PageTableFlags::USER_ACCESSIBLE);

/// The flags of what points to a directory in the kernel's half.
const KERNEL_TABLE: PageTableFlags = PageTableFlags::PRESENT.union(PageTableFlags::WRITABLE);

/// The addresses of windows in the kernel's half.
struct Arena {
    /// The first of the root's entries, once there is a window.
    first_entry: Option<u64>,
    /// The parts of a directory's size that are free.
    ranges: RangeAllocator<Global>,
}

static ARENA: Mutex<Arena> = Mutex::new(Arena { first_entry: None, ranges: RangeAllocator::new_in(Global) });

/// The tables of one window.
#[derive(Debug)]
pub struct WindowTables {
    /// The first part of the arena that it takes, and their number.
    parts: (u64, u64),
    /// The kernel's address.
    start: u64,
    directories: [Option<PhysFrame>; MOST_DIRECTORIES],
    /// The number of tables below the directories.
    tables: AtomicU64,
}

impl WindowTables {
    /// Takes the addresses of a window whose memory may grow to `bytes`. If the kernel's own addresses of it are those that
    /// its module uses, `is_whole`, all of the window is kept free there.
    pub fn new(bytes: u64, is_whole: bool) -> Result<WindowTables, MapError> {
        let directories = bytes.div_ceil(DIRECTORY_BYTES).min(MOST_DIRECTORIES as u64);
        let parts = if is_whole { WINDOW_SIZE.div_ceil(DIRECTORY_BYTES) } else { directories.max(1) };
        let (first, start) = ARENA.lock().take(parts)?;
        let mut window = WindowTables {
            parts: (first, parts),
            start,
            directories: [None; MOST_DIRECTORIES],
            tables: AtomicU64::new(0),
        };
        for (slot, part) in window.directories.iter_mut().zip(first..first + directories) {
            let directory = new_table(frames::allocate)?;
            *slot = Some(directory);
            set(entry_of(part, start_entry()?)?, directory, KERNEL_TABLE);
        }
        Ok(window)
    }

    /// Returns the kernel's address.
    pub const fn start(&self) -> u64 {
        self.start
    }

    /// Returns the directories.
    pub fn directories(&self) -> impl Iterator<Item = PhysFrame> {
        self.directories.iter().copied().flatten()
    }

    /// Returns the number of tables that belong to it.
    pub fn tables_held(&self) -> u64 {
        self.directories().count() as u64 + self.tables.load(Ordering::Relaxed)
    }

    /// Maps zeroed pages from offset `from` up to `end`, both of whole pages. If frames run out, none stay mapped.
    pub fn map(&self, from: u64, end: u64) -> Result<(), MapError> {
        for offset in (from..end).step_by(PAGE_SIZE as usize) {
            if let Err(error) = self.map_page(offset) {
                self.unmap(from, offset);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Unmaps the pages from offset `from` up to `end`, and frees their frames. The tables stay.
    pub fn unmap(&self, from: u64, end: u64) {
        for offset in (from..end).step_by(PAGE_SIZE as usize) {
            let Some(table) = self.table_of(offset) else { continue };
            let page = entry(table, offset / PAGE_SIZE % ENTRIES);
            // SAFETY: the entry is in a table of this window's, to which there are no references.
            let frame = unsafe { (*page).frame() };
            if let Ok(frame) = frame {
                // SAFETY: the same.
                unsafe { (*page).set_unused() };
                // SAFETY: `map_page` allocated the frame, and nothing maps it any more. Translations that are left are flushed
                // below, before any other code runs.
                unsafe { frames::release(frame) };
            }
        }
        // The tables that are active are the kernel's, or those of the module, which asked for more than there was.
        tlb::flush_all();
    }

    fn map_page(&self, offset: u64) -> Result<(), MapError> {
        let table = match self.table_of(offset) {
            Some(table) => table,
            None => self.new_table_for(offset)?,
        };
        let frame = new_table(frames::allocate)?;
        set(entry(table, offset / PAGE_SIZE % ENTRIES), frame, WRITE);
        Ok(())
    }

    /// Returns the entry of the directory for an offset.
    fn directory_entry(&self, offset: u64) -> Option<*mut Entry> {
        let directory = (*self.directories.get((offset / DIRECTORY_BYTES) as usize)?)?;
        Some(entry(directory, offset / (PAGE_SIZE * ENTRIES) % ENTRIES))
    }

    /// Returns the table for an offset, if there is one.
    fn table_of(&self, offset: u64) -> Option<PhysFrame> {
        // SAFETY: the entry is in a directory of this window's, to which there are no references.
        unsafe { (*self.directory_entry(offset)?).frame().ok() }
    }

    fn new_table_for(&self, offset: u64) -> Result<PhysFrame, MapError> {
        let entry = self.directory_entry(offset).ok_or(MapError)?;
        let table = new_table(frames::allocate)?;
        set(entry, table, TABLE);
        self.tables.fetch_add(1, Ordering::Relaxed);
        Ok(table)
    }
}

impl Drop for WindowTables {
    fn drop(&mut self) {
        let (first, parts) = self.parts;
        for (part, directory) in (first..).zip(&self.directories) {
            if let (Some(_), Some(entry)) = (directory, start_entry().and_then(|start| entry_of(part, start)).ok()) {
                // SAFETY: the entry is this window's, to which there are no references.
                unsafe { (*entry).set_unused() };
            }
        }
        // No translation may be left of what is freed now. Those of modules in ring 3 are gone, as in `unmap`.
        tlb::flush_all();
        for directory in self.directories() {
            for table in frames_in(directory) {
                // SAFETY: all frames below are this window's, and nothing points to them any more.
                frames_in(table).for_each(|page| unsafe { frames::release(page) });
                // SAFETY: the same.
                unsafe { frames::release(table) };
            }
            // SAFETY: the same.
            unsafe { frames::release(directory) };
        }
        ARENA.lock().ranges.free(first, parts);
    }
}

impl Arena {
    /// Takes parts that lie behind each other. Returns the first one, and its address.
    fn take(&mut self, parts: u64) -> Result<(u64, u64), MapError> {
        let first_entry = match self.first_entry {
            Some(first_entry) => first_entry,
            None => {
                let found = find_free_entries().ok_or(MapError)?;
                self.ranges.free(0, ROOT_ENTRIES * ENTRIES);
                *self.first_entry.insert(found)
            }
        };
        let first = self.ranges.allocate(parts).ok_or(MapError)?;
        // A window lies in the tables of at most two of the root's entries.
        let made = [first, first + parts - 1].into_iter().try_for_each(|part| ensure(part, first_entry));
        match made {
            Ok(()) => Ok((first, address_of(first, first_entry))),
            Err(error) => {
                self.ranges.free(first, parts);
                Err(error)
            }
        }
    }
}

type Entry = x86_64::structures::paging::page_table::PageTableEntry;

/// Returns the first of the root's entries for windows.
fn start_entry() -> Result<u64, MapError> {
    ARENA.lock().first_entry.ok_or(MapError)
}

/// Finds entries of the kernel's root that are not used, below the last one, which is the kernel's.
fn find_free_entries() -> Option<u64> {
    let is_free = |index: u64| {
        root_entry(index).is_some_and(|entry| {
            // SAFETY: the kernel's root is a valid table, which nothing else changes now.
            unsafe { (*entry).is_unused() }
        })
    };
    (ENTRIES / 2..ENTRIES - ROOT_ENTRIES).rev().find(|&first| (first..first + ROOT_ENTRIES).all(is_free))
}

fn root_entry(index: u64) -> Option<*mut Entry> {
    (index < ENTRIES).then(|| entry(PhysFrame::containing_address(PhysAddr::new(kernel_root())), index))
}

/// Makes the table that has the entry of a part, if there is none. It stays for good, since the tables of modules in ring 3
/// have copies of the root's entry: those that are made from now on, which are all that see this window.
fn ensure(part: u64, first_entry: u64) -> Result<(), MapError> {
    let entry = root_entry(first_entry + part / ENTRIES).ok_or(MapError)?;
    // SAFETY: the kernel's root is a valid table, which nothing else changes now.
    if unsafe { (*entry).is_unused() } {
        set(entry, new_table(|| frames::SharedTables.allocate_frame())?, KERNEL_TABLE);
    }
    Ok(())
}

/// Returns the entry that points to the directory of a part.
fn entry_of(part: u64, first_entry: u64) -> Result<*mut Entry, MapError> {
    let above = root_entry(first_entry + part / ENTRIES).ok_or(MapError)?;
    // SAFETY: the kernel's root is a valid table, which nothing else changes now.
    let table = unsafe { (*above).frame() }.map_err(|_| MapError)?;
    Ok(entry(table, part % ENTRIES))
}

/// Returns the kernel's address of a part.
const fn address_of(part: u64, first_entry: u64) -> u64 {
    // The upper half: all bits above the root's index are set.
    (0xffff << 48) + (first_entry << 39) + part * DIRECTORY_BYTES
}

/// Returns an entry of a table.
fn entry(table: PhysFrame, index: u64) -> *mut Entry {
    let entries = physical(table.start_address().as_u64()).cast::<Entry>();
    entries.wrapping_add((index % ENTRIES) as usize)
}

/// Points an entry to a frame.
fn set(entry: *mut Entry, frame: PhysFrame, flags: PageTableFlags) {
    // SAFETY: callers have the entry of a table that is theirs, or the kernel's and shared, which the physical map covers,
    // and to which there are no references.
    unsafe { (*entry).set_addr(frame.start_address(), flags) };
}

/// Returns a zeroed frame, for a page or a table.
fn new_table(allocate: impl FnOnce() -> Option<PhysFrame>) -> Result<PhysFrame, MapError> {
    let frame = allocate().ok_or(MapError)?;
    // SAFETY: the frame was just allocated, and the physical map covers it.
    unsafe { physical(frame.start_address().as_u64()).write_bytes(0, PAGE_SIZE as usize) };
    Ok(frame)
}

/// Returns the frames to which the entries of a table point.
fn frames_in(table: PhysFrame) -> impl Iterator<Item = PhysFrame> {
    // SAFETY: a table of a window that is not used any more, which the physical map covers.
    let table = unsafe { &*physical(table.start_address().as_u64()).cast::<PageTable>() };
    table.iter().filter_map(|entry| entry.frame().ok())
}
