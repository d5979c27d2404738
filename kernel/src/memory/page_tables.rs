//! The kernel's page tables. No page is ever writable and executable.

use core::sync::atomic::{AtomicU64, Ordering};

use x86_64::instructions::tlb;
use x86_64::registers::control::Cr3;
use x86_64::structures::paging::mapper::{CleanUp, Translate};
use x86_64::structures::paging::page::PageRangeInclusive;
use x86_64::structures::paging::{
    Mapper, OffsetPageTable, Page, PageTable, PageTableFlags, PhysFrame, Size2MiB, Size4KiB,
};
use x86_64::{PhysAddr, VirtAddr};

use super::layout::{KERNEL_STACK, MODULE_STACK, MODULE_STACKS, PAGE_SIZE, PHYSICAL_MAP, Stack};
use super::{frames, physical};

/// The size of a large page, in bytes.
const LARGE_PAGE_SIZE: u64 = 2 << 20;

/// The flags of code.
pub const READ_EXECUTE: PageTableFlags = PageTableFlags::PRESENT;
/// The flags of constants.
pub const READ_ONLY: PageTableFlags = PageTableFlags::PRESENT.union(PageTableFlags::NO_EXECUTE);
/// The flags of everything else.
pub const READ_WRITE: PageTableFlags = READ_ONLY.union(PageTableFlags::WRITABLE);

/// The flags of devices' registers.
const DEVICE: PageTableFlags = READ_WRITE.union(PageTableFlags::NO_CACHE);

/// The physical address of the kernel's root. The trampolines read it.
#[unsafe(export_name = "bareflow_kernel_root")]
static KERNEL_ROOT: AtomicU64 = AtomicU64::new(0);

/// The error of having no frame for a page or a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfFrames;

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
        .and_then(|()| map_stack(&mut new, KERNEL_STACK))
        .and_then(|()| (0..MODULE_STACKS).try_for_each(|depth| map_stack(&mut new, MODULE_STACK.at_depth(depth))));
    if mapped.is_err() {
        panic!("no memory for page tables; give the machine more");
    }
    KERNEL_ROOT.store(root.start_address().as_u64(), Ordering::Relaxed);
    root.start_address().as_u64()
}

/// Returns the physical address of the root that [`build`] built.
pub fn kernel_root() -> u64 {
    KERNEL_ROOT.load(Ordering::Relaxed)
}

fn map_physical_memory(tables: &mut OffsetPageTable<'_>, end: u64) -> Result<(), OutOfFrames> {
    // Map at least the first 2 MiB, which hold the text screen.
    for address in (0..end.max(1)).step_by(LARGE_PAGE_SIZE as usize) {
        let page = Page::<Size2MiB>::containing_address(VirtAddr::new(PHYSICAL_MAP + address));
        let frame = PhysFrame::containing_address(PhysAddr::new(address));
        // SAFETY: this is the kernel's map of memory, all of which it owns.
        let done = unsafe { tables.map_to(page, frame, READ_WRITE, &mut frames::SharedTables) };
        done.map_err(|_| OutOfFrames)?.ignore();
    }
    Ok(())
}

/// Maps the kernel's image at its address, each part with its own permissions.
fn map_image(tables: &mut OffsetPageTable<'_>, early_offset: u64) -> Result<(), OutOfFrames> {
    let [start, text_end, rodata_end, end] = image_borders();
    for address in (start..end).step_by(PAGE_SIZE as usize) {
        let flags = match address {
            address if address < text_end => READ_EXECUTE,
            address if address < rodata_end => READ_ONLY,
            _ => READ_WRITE,
        };
        // A page at the image's end may be missing if nothing was loaded there.
        let Some(frame) = translate(early_offset, VirtAddr::new(address)) else { continue };
        map_to(tables, address, PhysFrame::containing_address(PhysAddr::new(frame)), flags)?;
    }
    Ok(())
}

fn map_stack(tables: &mut OffsetPageTable<'_>, stack: Stack) -> Result<(), OutOfFrames> {
    for address in (stack.start + PAGE_SIZE..stack.top()).step_by(PAGE_SIZE as usize) {
        let frame = frames::allocate().ok_or(OutOfFrames)?;
        map_to(tables, address, frame, READ_WRITE)?;
    }
    Ok(())
}

fn map_to(
    tables: &mut OffsetPageTable<'_>,
    address: u64,
    frame: PhysFrame,
    flags: PageTableFlags,
) -> Result<(), OutOfFrames> {
    let page = Page::<Size4KiB>::containing_address(VirtAddr::new(address));
    // SAFETY: callers map either the image to itself or frames that belong to no one else.
    unsafe { tables.map_to(page, frame, flags, &mut frames::SharedTables) }.map_err(|_| OutOfFrames)?.ignore();
    Ok(())
}

/// Returns the physical address of a virtual one in the active tables, which map physical memory at `offset`.
pub fn translate(offset: u64, address: VirtAddr) -> Option<u64> {
    active(offset).translate_addr(address).map(PhysAddr::as_u64)
}

fn active(offset: u64) -> OffsetPageTable<'static> {
    let (root, _) = Cr3::read();
    let table = (offset + root.start_address().as_u64()) as *mut PageTable;
    // SAFETY: the root is a valid table, mapped at `offset` like all physical memory. There is one processor, and
    // every caller is done before another one begins.
    unsafe { OffsetPageTable::new(&mut *table, VirtAddr::new(offset)) }
}

/// Maps the page of a device's registers that holds `physical` at `address`.
pub fn map_device(address: u64, physical: u64) -> Result<(), OutOfFrames> {
    map_to(&mut active(PHYSICAL_MAP), address, PhysFrame::containing_address(PhysAddr::new(physical)), DEVICE)
}

/// Maps fresh, zeroed, writable frames for `bytes` bytes from `start` on. If there are too few frames, some pages may
/// be mapped: [`unmap_range`] frees them.
pub fn map_zeroed_range(start: u64, bytes: u64) -> Result<(), OutOfFrames> {
    (start..start + bytes).step_by(PAGE_SIZE as usize).try_for_each(map_zeroed)
}

/// Maps the frame that is mapped at `there` at `address` as well. The first mapping still owns it.
pub fn map_alias(there: u64, address: u64, flags: PageTableFlags) -> Result<(), OutOfFrames> {
    let frame = translate(PHYSICAL_MAP, VirtAddr::new(there)).ok_or(OutOfFrames)?;
    map_to(&mut active(PHYSICAL_MAP), address, PhysFrame::containing_address(PhysAddr::new(frame)), flags)
}

/// Unmaps the pages of `bytes` bytes from `start` on, and frees their frames and tables that are empty now.
pub fn unmap_range(start: u64, bytes: u64) {
    (start..start + bytes).step_by(PAGE_SIZE as usize).for_each(unmap);
    if bytes > 0 {
        clean_up(start, start + bytes - 1);
    }
}

/// Maps a fresh, zeroed, writable frame at `address`.
fn map_zeroed(address: u64) -> Result<(), OutOfFrames> {
    let frame = frames::allocate().ok_or(OutOfFrames)?;
    let bytes = physical(frame.start_address().as_u64());
    // SAFETY: the frame was just allocated, and the physical map covers it.
    unsafe { bytes.write_bytes(0, PAGE_SIZE as usize) };
    map_to(&mut active(PHYSICAL_MAP), address, frame, READ_WRITE).inspect_err(|_| frames::release(frame))
}

/// Changes the permissions of the page at `address`.
pub fn protect(address: u64, flags: PageTableFlags) {
    let page = Page::<Size4KiB>::containing_address(VirtAddr::new(address));
    // SAFETY: only pages of images are changed, and only while no module runs in them.
    if let Ok(flush) = unsafe { active(PHYSICAL_MAP).update_flags(page, flags) } {
        flush.flush();
    }
}

/// Unmaps the page at `address` and frees its frame. Does nothing if no page is mapped there.
fn unmap(address: u64) {
    let page = Page::<Size4KiB>::containing_address(VirtAddr::new(address));
    if let Ok((frame, flush)) = active(PHYSICAL_MAP).unmap(page) {
        flush.flush();
        frames::release(frame);
    }
}

/// Frees the tables that map nothing in the pages from `start` to `end`.
fn clean_up(start: u64, end: u64) {
    let page = |address| Page::<Size4KiB>::containing_address(VirtAddr::new(address));
    let range = PageRangeInclusive { start: page(start), end: page(end) };
    // SAFETY: a table that maps nothing is not used.
    unsafe { active(PHYSICAL_MAP).clean_up_addr_range(range, &mut frames::SharedTables) };
    // The processor may have cached the addresses of these tables; flushing any page flushes all of them (Intel SDM
    // volume 3, 5.10.4.1).
    tlb::flush(VirtAddr::new(start));
}

/// Returns the number of pages below the root at physical address `root` that are both writable and executable.
pub fn writable_and_executable(root: u64) -> u64 {
    survey_table(root, 4, true, true)
}

fn survey_table(table: u64, level: u8, writable: bool, executable: bool) -> u64 {
    // SAFETY: `table` is a table of the active hierarchy, which the physical map covers.
    let table = unsafe { &*physical(table).cast::<PageTable>() };
    let mut bad = 0;
    for entry in table.iter().filter(|entry| entry.flags().contains(PageTableFlags::PRESENT)) {
        let flags = entry.flags();
        let writable = writable && flags.contains(PageTableFlags::WRITABLE);
        let executable = executable && !flags.contains(PageTableFlags::NO_EXECUTE);
        if level == 1 || flags.contains(PageTableFlags::HUGE_PAGE) {
            bad += u64::from(writable && executable);
        } else {
            bad += survey_table(entry.addr().as_u64(), level - 1, writable, executable);
        }
    }
    bad
}
