//! [`PageMemory`] over the page tables of the `x86_64` crate.

use core::cell::RefCell;
use core::ptr::with_exposed_provenance_mut;

use x86_64::VirtAddr;
use x86_64::structures::paging::page::PageRangeInclusive;
use x86_64::structures::paging::{FrameAllocator, FrameDeallocator, Mapper, Page, PageTableFlags, Size4KiB};

use crate::{Access, PageMemory, PageRange};

/// The flags of the tables above a page.
const TABLE: PageTableFlags = PageTableFlags::PRESENT.union(PageTableFlags::WRITABLE);

/// The flags of a page that can be written.
const WRITABLE: PageTableFlags = TABLE.union(PageTableFlags::NO_EXECUTE);

/// The pages of a kernel that has a mapper and an allocator of frames, and runs on one processor.
///
/// Tables that were allocated to map a page are kept when the page is unmapped.
#[derive(Debug)]
pub struct MappedPages<M, F>(RefCell<(M, F)>);

impl<M: Mapper<Size4KiB>, F: FrameAllocator<Size4KiB> + FrameDeallocator<Size4KiB>> MappedPages<M, F> {
    /// Takes over the active page tables and an allocator of frames.
    pub const fn new(mapper: M, frames: F) -> MappedPages<M, F> {
        MappedPages(RefCell::new((mapper, frames)))
    }

    fn map(&self, page: Page) -> bool {
        let (mapper, frames) = &mut *self.0.borrow_mut();
        let Some(frame) = frames.allocate_frame() else { return false };
        // SAFETY: the frame was just allocated, and the page is free, as the caller of `allocate` promises.
        match unsafe { mapper.map_to_with_table_flags(page, frame, WRITABLE, TABLE, frames) } {
            Ok(mapped) => mapped.flush(),
            Err(_) => {
                // SAFETY: the frame was just allocated, and nothing refers to it.
                unsafe { frames.deallocate_frame(frame) };
                return false;
            }
        }
        let start = with_exposed_provenance_mut::<u8>(page.start_address().as_u64() as usize);
        // SAFETY: the page was just mapped, and no one else knows of it.
        unsafe { start.write_bytes(0, page.size() as usize) };
        true
    }

    fn unmap(&self, page: Page) {
        let (mapper, frames) = &mut *self.0.borrow_mut();
        if let Ok((frame, unmapped)) = mapper.unmap(page) {
            unmapped.flush();
            // SAFETY: `map` allocated the frame for this page alone.
            unsafe { frames.deallocate_frame(frame) };
        }
    }
}

// SAFETY: the mapper maps, unmaps and protects the pages that it is asked to, each onto a frame of its own.
unsafe impl<M: Mapper<Size4KiB>, F: FrameAllocator<Size4KiB> + FrameDeallocator<Size4KiB>> PageMemory
    for MappedPages<M, F>
{
    unsafe fn allocate(&self, pages: PageRange) -> bool {
        for (count, page) in all(pages).enumerate() {
            if !self.map(page) {
                all(pages).take(count).for_each(|mapped| self.unmap(mapped));
                return false;
            }
        }
        true
    }

    unsafe fn protect(&self, pages: PageRange, access: Access) -> bool {
        let flags = match access {
            Access::Execute => PageTableFlags::PRESENT,
            Access::Read => PageTableFlags::PRESENT | PageTableFlags::NO_EXECUTE,
        };
        let (mapper, _) = &mut *self.0.borrow_mut();
        // SAFETY: `allocate` mapped them, and no one writes to them any more, as the caller promises.
        all(pages).all(|page| unsafe { mapper.update_flags(page, flags) }.map(|changed| changed.flush()).is_ok())
    }

    unsafe fn free(&self, pages: PageRange) {
        all(pages).for_each(|page| self.unmap(page));
    }
}

/// Iterates over the pages of a range, which is not empty.
fn all(pages: PageRange) -> PageRangeInclusive {
    let last = pages.start + pages.bytes as u64 - 1;
    let page = |address| Page::containing_address(VirtAddr::new_truncate(address));
    Page::range_inclusive(page(pages.start), page(last))
}
