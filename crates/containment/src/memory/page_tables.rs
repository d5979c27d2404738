//! The active page tables, in the kernel's half. No page is ever writable and executable.

use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering};

use x86_64::instructions::tlb;
use x86_64::registers::control::Cr3;
use x86_64::structures::paging::mapper::{CleanUp, Translate, TranslateResult};
use x86_64::structures::paging::page::PageRangeInclusive;
use x86_64::structures::paging::{
    FrameAllocator, Mapper, OffsetPageTable, Page, PageTable, PageTableFlags, PhysFrame, Size4KiB,
};
use x86_64::{PhysAddr, VirtAddr};

use super::{frames, physical};
use crate::kernel::physical_map;
use crate::layout::{MODULE_STACK, MODULE_STACKS, PAGE_SIZE, Stack};

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

/// The error of a mapping: no frame for a page or a table, no addresses, or something is mapped there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapError;

/// Notes the root of the active tables as the kernel's, whose half all modules' tables share.
pub(crate) fn note_kernel_root() {
    KERNEL_ROOT.store(Cr3::read().0.start_address().as_u64(), Ordering::Relaxed);
}

/// Returns the physical address of the kernel's root.
pub(crate) fn kernel_root() -> u64 {
    KERNEL_ROOT.load(Ordering::Relaxed)
}

/// Maps `frame` at `address`.
///
/// # Errors
/// When frames run out, or something is mapped there already.
///
/// # Safety
/// The frame belongs to no one else, or its owner maps it once more.
unsafe fn map_to(
    tables: &mut OffsetPageTable<'_>,
    address: u64,
    frame: PhysFrame,
    flags: PageTableFlags,
) -> Result<(), MapError> {
    let page = Page::<Size4KiB>::containing_address(VirtAddr::new(address));
    // SAFETY: the caller promises the same.
    let done = unsafe { tables.map_to(page, frame, flags, &mut frames::SharedTables) };
    // No processor caches that a page is not mapped.
    done.map_err(|_| MapError)?.ignore();
    Ok(())
}

/// Maps the stacks of modules in ring 0, which stay mapped.
///
/// # Errors
/// When frames run out.
///
/// # Safety
/// The addresses from [`layout::START`](crate::layout::START) on are this crate's.
pub unsafe fn map_module_stacks(
    tables: &mut impl Mapper<Size4KiB>,
    frames: &mut impl FrameAllocator<Size4KiB>,
) -> Result<(), MapError> {
    // SAFETY: the stacks lie above `START`, each with a guard page of its own.
    (0..MODULE_STACKS).try_for_each(|depth| unsafe { map_stack(tables, frames, MODULE_STACK.at_depth(depth)) })
}

/// Maps the pages of a stack, with any contents.
///
/// # Errors
/// When frames run out.
///
/// # Safety
/// Nothing else uses the stack's addresses, its guard page included.
pub unsafe fn map_stack(
    tables: &mut impl Mapper<Size4KiB>,
    frames: &mut impl FrameAllocator<Size4KiB>,
    stack: Stack,
) -> Result<(), MapError> {
    for address in (stack.bottom()..stack.top()).step_by(PAGE_SIZE as usize) {
        let frame = frames.allocate_frame().ok_or(MapError)?;
        let page = Page::<Size4KiB>::containing_address(VirtAddr::new(address));
        // SAFETY: the frame was just allocated; the caller promises that nothing else uses the page.
        let done = unsafe { tables.map_to(page, frame, READ_WRITE, frames) };
        done.map_err(|_| MapError)?.ignore();
    }
    Ok(())
}

/// Returns the physical address of a virtual one.
pub fn translate(address: u64) -> Option<u64> {
    active().translate_addr(VirtAddr::try_new(address).ok()?).map(PhysAddr::as_u64)
}

/// Returns the physical addresses of a virtual one and those behind it, up to the end of its page.
///
/// # Safety
/// The active tables map all physical memory at `offset`.
pub unsafe fn translate_at(offset: u64, address: u64) -> Option<Range<u64>> {
    // SAFETY: the caller promises the same.
    match unsafe { active_at(offset) }.translate(VirtAddr::try_new(address).ok()?) {
        TranslateResult::Mapped { frame, offset, .. } => {
            let start = frame.start_address().as_u64();
            Some(start + offset..start + frame.size())
        }
        TranslateResult::NotMapped | TranslateResult::InvalidFrameAddress(_) => None,
    }
}

fn active() -> OffsetPageTable<'static> {
    // SAFETY: `physical_map` panics before there is a kernel, which promises the map.
    unsafe { active_at(physical_map()) }
}

/// Returns the active tables.
///
/// # Safety
/// They map all physical memory at `offset`.
unsafe fn active_at(offset: u64) -> OffsetPageTable<'static> {
    let (root, _) = Cr3::read();
    let table = (offset + root.start_address().as_u64()) as *mut PageTable;
    // SAFETY: the root is a valid table, mapped at `offset` like all physical memory. There is one processor, and
    // traps interrupt only a module's code with work that maps pages, so no other reference exists.
    unsafe { OffsetPageTable::new(&mut *table, VirtAddr::new(offset)) }
}

/// Maps the page of a device's registers that holds `physical` at `address`.
///
/// # Errors
/// When frames run out, or something is mapped there already.
///
/// # Safety
/// There are registers, not memory, and nothing else uses the page at `address`.
pub unsafe fn map_device(address: u64, physical: u64) -> Result<(), MapError> {
    // SAFETY: the caller promises that no one else has these registers.
    unsafe { map_to(&mut active(), address, PhysFrame::containing_address(PhysAddr::new(physical)), DEVICE) }
}

/// Maps fresh, zeroed, writable frames for `bytes` bytes from `start` on. If there are too few frames, some pages may
/// be mapped: [`unmap_range`] frees them.
pub(crate) fn map_zeroed_range(start: u64, bytes: u64) -> Result<(), MapError> {
    (start..start + bytes).step_by(PAGE_SIZE as usize).try_for_each(map_zeroed)
}

/// Maps the frame that is mapped at `there` at `address` as well. The first mapping still owns it.
pub(crate) fn map_alias(there: u64, address: u64, flags: PageTableFlags) -> Result<(), MapError> {
    let frame = translate(there).ok_or(MapError)?;
    // SAFETY: the frame is mapped for its owner, who maps it once more.
    unsafe { map_to(&mut active(), address, PhysFrame::containing_address(PhysAddr::new(frame)), flags) }
}

/// Unmaps the pages of `bytes` bytes from `start` on, and frees their frames and tables that are empty now.
pub(crate) fn unmap_range(start: u64, bytes: u64) {
    (start..start + bytes).step_by(PAGE_SIZE as usize).for_each(unmap);
    if bytes > 0 {
        clean_up(start, start + bytes - 1);
    }
}

/// Maps a fresh, zeroed, writable frame at `address`.
fn map_zeroed(address: u64) -> Result<(), MapError> {
    let frame = frames::allocate().ok_or(MapError)?;
    let bytes = physical(frame.start_address().as_u64());
    // SAFETY: the frame was just allocated, and the physical map covers it.
    unsafe { bytes.write_bytes(0, PAGE_SIZE as usize) };
    // SAFETY: the frame was just allocated, and is mapped nowhere if this fails.
    unsafe { map_to(&mut active(), address, frame, READ_WRITE).inspect_err(|_| frames::release(frame)) }
}

/// Changes the permissions of the page at `address`.
pub(crate) fn protect(address: u64, flags: PageTableFlags) {
    let page = Page::<Size4KiB>::containing_address(VirtAddr::new(address));
    // SAFETY: only pages of images are changed, and only while no module runs in them.
    if let Ok(flush) = unsafe { active().update_flags(page, flags) } {
        flush.flush();
    }
}

/// Unmaps the page at `address` and frees its frame. Does nothing if no page is mapped there.
fn unmap(address: u64) {
    let page = Page::<Size4KiB>::containing_address(VirtAddr::new(address));
    if let Ok((frame, flush)) = active().unmap(page) {
        flush.flush();
        // SAFETY: `map_zeroed` allocated the frame, or an alias of it was dropped before; nothing maps it any more.
        unsafe { frames::release(frame) };
    }
}

/// Frees the tables that map nothing in the pages from `start` to `end`.
fn clean_up(start: u64, end: u64) {
    let page = |address| Page::<Size4KiB>::containing_address(VirtAddr::new(address));
    let range = PageRangeInclusive { start: page(start), end: page(end) };
    // SAFETY: a table that maps nothing is not used.
    unsafe { active().clean_up_addr_range(range, &mut frames::SharedTables) };
    // The processor may have cached the addresses of these tables; flushing any page flushes all of them (Intel SDM
    // volume 3, 5.10.4.1).
    tlb::flush(VirtAddr::new(start));
}

/// Returns the number of pages of the kernel that are both writable and executable.
pub fn writable_and_executable() -> u64 {
    count_writable_and_executable(kernel_root())
}

/// Returns the number of such pages below the root at the physical address `root`, which is a kernel's or a module's.
pub(crate) fn count_writable_and_executable(root: u64) -> u64 {
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
