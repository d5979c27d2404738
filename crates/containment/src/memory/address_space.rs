//! The page tables of modules in ring 3: the kernel's half, which only the kernel may access, and a half of the
//! module's own.
//!
//! The frames that are mapped here belong to the kernel's alias of them; an address space owns only its tables.

use core::ops::Range;

use bareflow_abi::memory::WINDOW_SIZE;
use x86_64::VirtAddr;
use x86_64::structures::paging::{Mapper, OffsetPageTable, Page, PageTable, PageTableFlags, PhysFrame, Size4KiB};

use super::page_tables::{MapError, kernel_root, translate};
use super::{frames, physical};
use crate::kernel::physical_map;
use crate::layout::PAGE_SIZE;
use crate::layout::user::WINDOW;

/// The flags of every page and table that ring 3 may use.
const VISIBLE: PageTableFlags = PageTableFlags::PRESENT.union(PageTableFlags::USER_ACCESSIBLE);

/// The flags of code.
pub const EXECUTE: PageTableFlags = VISIBLE;
/// The flags of constants.
pub const READ: PageTableFlags = VISIBLE.union(PageTableFlags::NO_EXECUTE);
/// The flags of data.
pub const WRITE: PageTableFlags = READ.union(PageTableFlags::WRITABLE);

/// The first of the kernel's entries in a root table.
const KERNEL_HALF: usize = 256;

/// The entries for the window, in the only table of the third level that a module has: all its addresses are below 512 GiB.
const WINDOW_ENTRIES: Range<usize> = (WINDOW >> 30) as usize..((WINDOW + WINDOW_SIZE).div_ceil(1 << 30)) as usize;

const _: () = assert!(WINDOW_ENTRIES.end <= 512 && WINDOW.is_multiple_of(1 << 30));

/// One module's page tables.
#[derive(Debug)]
pub struct AddressSpace {
    root: PhysFrame,
}

impl AddressSpace {
    /// Creates tables with nothing in the module's half.
    pub fn new() -> Result<AddressSpace, MapError> {
        let root = frames::allocate().ok_or(MapError)?;
        let (own, kernels) = (table(root.start_address().as_u64()), table(kernel_root()));
        // SAFETY: the frame was just allocated; the kernel's root is a valid table; the physical map covers both. All tables
        // below the kernel's half of the root are shared, and stay. Only entries for windows are added to that half, which
        // spaces that were made before do not need: while they are active, the kernel uses no window but their own.
        unsafe {
            own.write(PageTable::new());
            for index in KERNEL_HALF..512 {
                (&mut (*own))[index] = (&(*kernels))[index].clone();
            }
        }
        Ok(AddressSpace { root })
    }

    /// Returns the physical address of the root.
    #[inline]
    pub fn root(&self) -> u64 {
        self.root.start_address().as_u64()
    }

    /// Returns the number of its tables.
    pub fn tables_held(&self) -> u64 {
        count_tables(self.root, 4)
    }

    /// Maps the `size` bytes, whole pages, that the kernel has at `alias` for the module at `address`.
    pub fn map(&self, address: u64, alias: u64, size: u64, flags: PageTableFlags) -> Result<(), MapError> {
        let mut tables = self.tables();
        for offset in (0..size).step_by(PAGE_SIZE as usize) {
            let page = Page::<Size4KiB>::containing_address(VirtAddr::new(address + offset));
            let frame = translate(alias + offset).ok_or(MapError)?;
            let frame = PhysFrame::containing_address(x86_64::PhysAddr::new(frame));
            let parents = VISIBLE | PageTableFlags::WRITABLE;
            // SAFETY: the module's image owns the frame and drops this mapping before it frees it; the kernel's alias is
            // never both executable and writable.
            let done = unsafe { tables.map_to_with_table_flags(page, frame, flags, parents, &mut frames::OwnTables) };
            // The tables become active by a write to CR3, which flushes all cached translations.
            done.map_err(|_| MapError)?.ignore();
        }
        Ok(())
    }

    /// Maps the directories of a window for the module, whose tables are those of others as well. Other pages of the module
    /// are mapped already.
    pub fn attach_window(&self, directories: impl Iterator<Item = PhysFrame>) -> Result<(), MapError> {
        // SAFETY: the root is a valid table, which the physical map covers.
        let first = unsafe { (&(*table(self.root())))[0].frame() }.map_err(|_| MapError)?;
        let entries = table(first.start_address().as_u64());
        for (index, directory) in WINDOW_ENTRIES.zip(directories) {
            let flags = VISIBLE | PageTableFlags::WRITABLE;
            // SAFETY: the table is this space's own, which the physical map covers, and the space is not active.
            unsafe { (&mut (*entries))[index].set_addr(directory.start_address(), flags) };
        }
        Ok(())
    }

    /// Unmaps `size` bytes, whole pages, for the module.
    pub fn unmap(&self, address: u64, size: u64) {
        let mut tables = self.tables();
        for offset in (0..size).step_by(PAGE_SIZE as usize) {
            let page = Page::<Size4KiB>::containing_address(VirtAddr::new(address + offset));
            if let Ok((_, flush)) = tables.unmap(page) {
                flush.ignore();
            }
        }
    }

    fn tables(&self) -> OffsetPageTable<'_> {
        // SAFETY: the root is a valid table that the physical map covers, and nothing else changes it now.
        unsafe { OffsetPageTable::new(&mut *table(self.root()), VirtAddr::new(physical_map())) }
    }
}

impl Drop for AddressSpace {
    fn drop(&mut self) {
        release_tables(self.root, 4);
    }
}

/// Frees a table of the module's half and all tables below it, down to the last level.
fn release_tables(frame: PhysFrame, level: u8) {
    for_each_below(frame, level, |below| release_tables(below, level - 1));
    // SAFETY: the tables are the module's own, and its address space is gone.
    unsafe { frames::release(frame) };
}

/// Returns the number of tables from this one down.
fn count_tables(frame: PhysFrame, level: u8) -> u64 {
    let mut count = 1;
    for_each_below(frame, level, |below| count += count_tables(below, level - 1));
    count
}

/// Calls `work` for each table in the module's half that the table in `frame` points to, but for those of a window, which
/// belong to that.
fn for_each_below(frame: PhysFrame, level: u8, mut work: impl FnMut(PhysFrame)) {
    if level == 1 {
        return;
    }
    let entries = if level == 4 { KERNEL_HALF } else { 512 };
    // SAFETY: a table of a space that is not active, which the physical map covers.
    let table = unsafe { &*table(frame.start_address().as_u64()) };
    for (index, entry) in table.iter().take(entries).enumerate() {
        let is_window = level == 3 && WINDOW_ENTRIES.contains(&index);
        if !is_window && entry.flags().contains(PageTableFlags::PRESENT) {
            work(PhysFrame::containing_address(entry.addr()));
        }
    }
}

fn table(address: u64) -> *mut PageTable {
    physical(address).cast()
}
