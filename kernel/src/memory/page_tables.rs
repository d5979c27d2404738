//! The kernel's own page tables. No page is ever writable and executable.

use bareflow_containment::page_tables::{
    MapError, READ_EXECUTE, READ_ONLY, READ_WRITE, map_module_stacks, map_stack, translate_at,
};
use x86_64::structures::paging::{
    Mapper, OffsetPageTable, Page, PageTable, PageTableFlags, PhysFrame, Size2MiB, Size4KiB,
};
use x86_64::{PhysAddr, VirtAddr};

use super::frames;
use super::layout::{KERNEL_STACK, PAGE_SIZE, PHYSICAL_MAP};

/// The flags of tables whose pages have different ones.
const TABLE: PageTableFlags = PageTableFlags::PRESENT.union(PageTableFlags::WRITABLE);

/// The size of a large page, in bytes.
const LARGE_PAGE_SIZE: u64 = 2 << 20;

/// Returns the start of the image, the end of its text, the end of its constants, and the end of the image.
pub fn image_borders() -> [u64; 4] {
    // The linker script places these symbols; only their addresses mean anything.
    unsafe extern "C" {
        safe static __image_start: u8;
        safe static __text_end: u8;
        safe static __rodata_end: u8;
        safe static __image_end: u8;
    }
    [&raw const __image_start, &raw const __text_end, &raw const __rodata_end, &raw const __image_end]
        .map(|symbol| symbol as u64)
}

/// Builds the kernel's own tables while those of the boot loader are active, which map physical memory at
/// `early_offset`. `ram_end` is the end of physical memory. Returns the root's physical address.
pub fn build(early_offset: u64, ram_end: u64) -> u64 {
    let Some(root) = frames::allocate() else { panic!("no memory for page tables; give the machine more") };
    let address = (early_offset + root.start_address().as_u64()) as *mut PageTable;
    // SAFETY: the frame is fresh and mapped, and an empty table is a valid one.
    let table = unsafe {
        address.write(PageTable::new());
        &mut *address
    };
    // SAFETY: `early_offset` is where the boot loader mapped physical memory.
    let mut new = unsafe { OffsetPageTable::new(table, VirtAddr::new(early_offset)) };
    let mapped = map_physical_memory(&mut new, ram_end)
        .and_then(|()| map_image(&mut new, early_offset))
        // SAFETY: `layout.rs` gives these addresses to the stacks only.
        .and_then(|()| unsafe { map_stack(&mut new, &mut frames::Tables, KERNEL_STACK) })
        // SAFETY: it leaves those from `START` on to the containment.
        .and_then(|()| unsafe { map_module_stacks(&mut new, &mut frames::Tables) });
    if mapped.is_err() {
        panic!("no memory for page tables; give the machine more");
    }
    root.start_address().as_u64()
}

fn map_physical_memory(tables: &mut OffsetPageTable<'_>, end: u64) -> Result<(), MapError> {
    // Map at least the first 2 MiB, which hold the text screen.
    for address in (0..end.max(1)).step_by(LARGE_PAGE_SIZE as usize) {
        let page = Page::<Size2MiB>::containing_address(VirtAddr::new(PHYSICAL_MAP + address));
        let frame = PhysFrame::containing_address(PhysAddr::new(address));
        // SAFETY: this is the kernel's map of memory, all of which it owns.
        let done = unsafe { tables.map_to(page, frame, READ_WRITE, &mut frames::Tables) };
        done.map_err(|_| MapError)?.ignore();
    }
    Ok(())
}

/// Maps the kernel's image at its address, each part with its own permissions.
fn map_image(tables: &mut OffsetPageTable<'_>, early_offset: u64) -> Result<(), MapError> {
    let [start, text_end, rodata_end, end] = image_borders();
    // The physical addresses from here on, up to the end of one of the boot loader's pages, which may be large.
    let mut physical = 0..0;
    // The table of the last level for the pages up to the next large page; a walk to it for each page takes many times as
    // long.
    let mut last: Option<&mut PageTable> = None;
    for address in (start..end).step_by(PAGE_SIZE as usize) {
        let flags = match address {
            address if address < text_end => READ_EXECUTE,
            address if address < rodata_end => READ_ONLY,
            _ => READ_WRITE,
        };
        if address.is_multiple_of(LARGE_PAGE_SIZE) {
            last = None;
        }
        if physical.is_empty() {
            // A page at the image's end may be missing if nothing was loaded there.
            // SAFETY: the boot loader mapped physical memory there.
            let Some(found) = (unsafe { translate_at(early_offset, address) }) else { continue };
            physical = found;
        }
        let page = Page::<Size4KiB>::containing_address(VirtAddr::new(address));
        let frame = PhysFrame::containing_address(PhysAddr::new(physical.start));
        physical.start += PAGE_SIZE;
        match last.as_deref_mut() {
            Some(table) => table[page.p1_index()].set_addr(frame.start_address(), flags),
            None => {
                // SAFETY: the image is mapped where it is already.
                let done = unsafe { tables.map_to_with_table_flags(page, frame, flags, TABLE, &mut frames::Tables) };
                done.map_err(|_| MapError)?.ignore();
                // SAFETY: the page was just mapped, in tables that lie in physical memory; no one else uses them.
                last = Some(unsafe { last_table(tables, early_offset, page) });
            }
        }
    }
    Ok(())
}

/// Returns the table of the last level in which `page` is mapped.
///
/// # Safety
/// The page is mapped, all tables are mapped at `offset`, and nothing else uses that one.
unsafe fn last_table<'table>(tables: &OffsetPageTable<'_>, offset: u64, page: Page) -> &'table mut PageTable {
    let mut table = core::ptr::from_ref(tables.level_4_table());
    for index in [page.p4_index(), page.p3_index(), page.p2_index()] {
        // SAFETY: the caller promises that the page is mapped, so there is a table on each level.
        table = (offset + unsafe { &*table }[index].addr().as_u64()) as *const PageTable;
    }
    // SAFETY: the caller promises that no one else uses it.
    unsafe { &mut *table.cast_mut() }
}
