//! The pages of an image that shares none with others: one that is large, has a heap, or runs in the user domain.

use allocator_api2::alloc::Global;
use allocator_api2::boxed::Box;
use bareflow_abi::layout::MAX_SEGMENT_SIZE;
use bareflow_loader::segments::PAGE_SIZE;
use bareflow_loader::{Domain, ImageSize, LinearMemory, PlatformError, RangeAllocator, Segments, Usage};
use spin::Mutex;
use x86_64::structures::paging::PageTableFlags;

use super::no_pages;
use super::user::UserMappings;
use super::window::Window;
use crate::layout::{IMAGES, SHARED_ARENA_BYTES, user as layout};
use crate::memory::page_tables::{self, MapError, READ_EXECUTE, READ_ONLY, READ_WRITE};

/// The pages of offsets in the arena. The three segments of an image lie at the same offset.
const ARENA_PAGES: u64 = MAX_SEGMENT_SIZE / PAGE_SIZE;

/// The pages of offsets that are free.
static RANGES: Mutex<RangeAllocator<Global>> = Mutex::new(RangeAllocator::new_in(Global));

/// Opens the part of the arena for images with pages of their own.
pub fn open() {
    RANGES.lock().free(SHARED_ARENA_BYTES / PAGE_SIZE, ARENA_PAGES - SHARED_ARENA_BYTES / PAGE_SIZE);
}

/// The pages of an image that shares none with others.
#[derive(Debug)]
pub struct DedicatedPages {
    /// The segments as the kernel sees them.
    pub alias: Segments,
    /// The mappings of a module of the user domain.
    pub user: Option<UserMappings>,
    /// The linear memory, if it has one. The module's own mappings of it go before it.
    pub window: Option<Box<Window>>,
    /// The number of pages of offsets it takes.
    pages: u64,
}

impl DedicatedPages {
    /// Allocates zeroed, writable pages for an image of `size`, with its heap, and with its stack in the user domain.
    #[inline(never)]
    pub fn new(
        size: ImageSize,
        heap: u32,
        domain: Domain,
        stack: u32,
        memory: Option<&LinearMemory>,
    ) -> Result<Box<DedicatedPages>, PlatformError> {
        let pages = Segments::pages(&size, heap);
        let bytes = (pages * PAGE_SIZE) as usize;
        let first = RANGES.lock().allocate(pages).ok_or(PlatformError { what: "reserve addresses", bytes })?;
        let alias = Segments { base: IMAGES + first * PAGE_SIZE, size, heap_bytes: heap };
        let Ok(mut dedicated) = Box::try_new_in(DedicatedPages { alias, user: None, window: None, pages }, Global)
        else {
            RANGES.lock().free(first, pages);
            return Err(no_pages(pages));
        };
        match dedicated.map(domain, stack, memory) {
            Ok(()) => Ok(dedicated),
            Err(_) => {
                DedicatedPages::release(dedicated);
                Err(no_pages(pages))
            }
        }
    }

    fn map(&mut self, domain: Domain, stack: u32, memory: Option<&LinearMemory>) -> Result<(), MapError> {
        for (start, bytes) in self.alias.mapped() {
            page_tables::map_zeroed_range(start, bytes)?;
        }
        // The window comes first: tables of a module's own have the kernel's entries as they are when they are made.
        self.window = memory.map(|memory| Window::new(memory, domain)).transpose()?;
        if domain == Domain::User {
            let user = self.user.insert(UserMappings::new(stack.into())?);
            if let Some(window) = &self.window {
                user.attach_window(window)?;
            }
        }
        Ok(())
    }

    /// Returns the base as the module sees it.
    pub const fn base(&self) -> u64 {
        if self.user.is_some() { layout::BASE } else { self.alias.base }
    }

    /// Returns the size of its pages of offsets, in bytes.
    pub const fn bytes(&self) -> usize {
        (self.pages * PAGE_SIZE) as usize
    }

    /// Gives text and rodata their final permissions; data has them already.
    #[inline(never)]
    pub fn seal(&mut self) -> Result<(), MapError> {
        self.protect();
        let seen = Segments { base: self.base(), ..self.alias };
        self.user.as_mut().map_or(Ok(()), |user| user.map_segments(&seen, &self.alias))
    }

    fn protect(&self) {
        // Code of ring 3 is never run through the kernel's alias.
        let executable = if self.user.is_some() { READ_ONLY } else { READ_EXECUTE };
        self.protect_as([executable, READ_ONLY]);
    }

    /// Gives text and rodata these permissions.
    fn protect_as(&self, flags: [PageTableFlags; 2]) {
        let [text, rodata, _] = self.alias.all();
        for ((start, bytes), flags) in [text, rodata].into_iter().zip(flags) {
            for address in (start..start + bytes as u64).step_by(PAGE_SIZE as usize) {
                page_tables::protect(address, flags);
            }
        }
    }

    /// Makes the pages what [`new`](Self::new) gave: zeroed, and writable. Nothing runs in the image.
    pub fn unseal(&self) {
        self.protect_as([READ_WRITE; 2]);
        for (start, bytes) in self.alias.mapped() {
            let bytes = bytes.next_multiple_of(PAGE_SIZE) as usize;
            // SAFETY: these are whole pages of this image, which are mapped, and writable as of now; nobody has a reference to
            // them, since its module does not run.
            unsafe { (start as *mut u8).write_bytes(0, bytes) };
        }
        self.user.iter().for_each(UserMappings::wipe);
        self.window.iter().for_each(|window| window.reset());
    }

    /// Seals an image that was sealed before: a module of the user domain has its mappings still.
    pub fn seal_again(&self) {
        self.protect();
        let heap = Segments { base: self.base(), ..self.alias }.heap();
        self.user.iter().for_each(|user| user.write_context(heap));
    }

    /// Returns the pages it takes, and the bytes of the kernel's heap.
    pub fn usage(&self) -> Usage {
        let pages = self.alias.mapped().iter().map(|(_, bytes)| bytes.div_ceil(PAGE_SIZE)).sum();
        let user = self.user.as_ref().map_or(Usage::default(), UserMappings::usage);
        let window = self.window.as_ref().map_or(Usage::default(), |window| window.usage());
        Usage { pages, table_bytes: size_of::<DedicatedPages>() as u64, ..Usage::default() } + user + window
    }

    /// Frees the pages and the addresses.
    #[inline(never)]
    pub fn release(dedicated: Box<DedicatedPages>) {
        let DedicatedPages { alias, pages, .. } = *dedicated;
        // The module's own mappings of the pages go first.
        drop(dedicated);
        for (start, bytes) in alias.mapped() {
            page_tables::unmap_range(start, bytes);
        }
        RANGES.lock().free((alias.base - IMAGES) / PAGE_SIZE, pages);
    }
}
