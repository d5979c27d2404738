//! The memory of modules: an arena of addresses in the upper two gigabytes, so that calls between kernel and modules
//! are near calls.
//!
//! A module of the user domain also lies there, but does not see it: the arena holds the kernel's alias of its
//! frames. They are mapped a second time, with the module's permissions, in page tables of its own ([`user`]).

mod buffer;
mod dedicated;
mod pages;
mod shared_arena;
pub mod user;
mod window;

use allocator_api2::boxed::Box;
use bareflow_abi::Services;
use bareflow_abi::memory::CANNOT_GROW;
use bareflow_loader::segments::{PAGE_SIZE, is_within};
use bareflow_loader::{
    Domain, ImageSize, LinearMemory, PeakUse, Placement, PlatformError, RegionMemory, Segments, Usage, WritableImage,
};

use crate::layout::{MODULE_STACK, user as layout};
use crate::memory::address_space::{READ, WRITE};
use crate::memory::page_tables;
use crate::timer::ticks_of;
use dedicated::DedicatedPages;
use pages::Pages;
use user::UserMappings;
use window::Window;

pub use user::RESERVED_OUTPUT_BYTES;

/// A module's memory.
#[derive(Debug)]
pub struct Image {
    /// The segments as the module sees them.
    pub(crate) segments: Segments,
    /// The table of services that it sees in ring 0.
    pub(crate) services: &'static Services,
    /// The services that it declares.
    pub(crate) declared: u32,
    /// The number of timer ticks a call may see.
    pub(crate) ticks: u32,
    /// The stack's size, in bytes.
    stack: u32,
    /// The number of granules it takes if it shares pages with others.
    granules: u32,
    /// The pages of its own, if it shares none with others.
    dedicated: Option<Box<DedicatedPages>>,
}

/// Opens the arena.
pub fn open_arena() {
    shared_arena::open();
    dedicated::open();
    pages::init_alias_range();
}

impl Image {
    /// Allocates zeroed, writable memory for an image.
    #[inline(always)]
    pub(crate) fn allocate(
        size: ImageSize,
        placement: &Placement,
        services: &'static Services,
        memory: Option<&LinearMemory>,
    ) -> Result<Image, PlatformError> {
        let Placement { domain, budget, services: declared } = *placement;
        let room = if domain == Domain::Kernel { MODULE_STACK.size() } else { layout::MAX_STACK };
        // The cast keeps the value: both sizes are far below four gigabytes.
        let (heap, mut stack) = (budget.heap_bytes, budget.stack_bytes.min(room as u32));
        if domain == Domain::User {
            // The return address is written there before the call, and pages are mapped for all of it.
            stack = stack.max(1).next_multiple_of(PAGE_SIZE as u32);
        }
        let ((base, granules), dedicated) =
            if domain == Domain::Kernel && shared_arena::fits(&size, heap) && memory.is_none() {
                (shared_arena::allocate(&size).map_err(|_| no_pages(1))?, None)
            } else {
                let dedicated = DedicatedPages::new(size, heap, domain, stack, memory)?;
                ((dedicated.base(), 0), Some(dedicated))
            };
        let (segments, ticks) = (Segments { base, size, heap_bytes: heap }, ticks_of(budget.time_us));
        Ok(Image { segments, services, declared, ticks, stack, granules, dedicated })
    }

    /// Returns the linear memory, if it has one.
    pub(crate) fn window(&self) -> Option<&Window> {
        self.dedicated.as_ref()?.window.as_deref()
    }

    /// Adds pages to the linear memory, and writes its size into the module's data. Returns the number of pages before, or
    /// [`CANNOT_GROW`].
    pub(crate) fn grow_memory(&self, pages: u64) -> u64 {
        let Some(window) = self.window() else { return CANNOT_GROW };
        let before = window.grow(pages);
        if before != CANNOT_GROW {
            let (data, _) = self.alias().all()[2];
            // SAFETY: validation has found that the words lie in the data, which is mapped writable there; the module stands
            // still.
            unsafe { ((data + window.words() + 8) as *mut u64).write_unaligned(window.bytes()) };
        }
        before
    }

    /// Returns the segments as the module sees them.
    #[must_use]
    pub const fn segments(&self) -> &Segments {
        &self.segments
    }

    /// Returns the mappings of a module of the user domain.
    #[inline]
    pub(crate) fn user(&self) -> Option<&UserMappings> {
        self.dedicated.as_ref()?.user.as_ref()
    }

    /// Gives text and rodata their final permissions if they have pages of their own; data has them already.
    #[inline(always)]
    pub(crate) fn seal(&mut self) -> Result<(), PlatformError> {
        let Some(dedicated) = &mut self.dedicated else { return Ok(()) };
        dedicated.seal().map_err(|_| PlatformError { what: "map pages in ring 3", bytes: dedicated.bytes() })
    }

    /// Makes an image of the same size, in which nothing runs, what [`allocate`](Self::allocate) gave, lets `fill` fill it,
    /// and seals it. Returns whether it did.
    #[cold]
    pub(crate) fn refill(&mut self, size: ImageSize, fill: impl FnOnce(&mut dyn WritableImage)) -> bool {
        if self.segments.size != size {
            return false;
        }
        match &self.dedicated {
            None => shared_arena::wipe(&self.segments),
            Some(dedicated) => dedicated.unseal(),
        }
        fill(&mut Unsealed(self));
        if let Some(dedicated) = &self.dedicated {
            dedicated.seal_again();
        }
        true
    }

    /// Returns the pages it takes, and the bytes of the kernel's heap.
    #[inline(always)]
    pub(crate) fn usage(&self) -> Usage {
        self.dedicated.as_ref().map_or_else(|| shared_arena::usage(self.granules), |dedicated| dedicated.usage())
    }

    /// Returns the most stack and heap its calls have used. In the kernel domain all modules share a stack, so its
    /// words can't be assigned to one of them.
    pub(crate) fn peak_use(&self) -> PeakUse {
        let (heap, heap_size) = self.alias().heap();
        // SAFETY: a heap takes whole pages, which are mapped there; its module is not running now.
        let heap_bytes = PeakUse::of_heap(heap_size, || unsafe { (heap as *const [u64; 2]).read_volatile() });
        let stack = self.user().map(|user| user.peak_stack().min(self.stack.into()));
        PeakUse { stack_bytes: stack, heap_bytes }
    }

    /// Returns the number of pages of a module's own tables that are both writable and executable.
    pub fn writable_and_executable(&self) -> u64 {
        self.user().map_or(0, |user| page_tables::count_writable_and_executable(user.root()))
    }

    /// Frees all memory and the addresses.
    #[inline(always)]
    pub(crate) fn release(self) {
        match self.dedicated {
            None => shared_arena::free(&self.segments, self.granules),
            Some(dedicated) => DedicatedPages::release(dedicated),
        }
    }

    /// Returns whether an access to `address` means that the stack has run out.
    pub fn guards(&self, address: u64) -> bool {
        is_within(address, 1, self.stack().0.saturating_sub(PAGE_SIZE), PAGE_SIZE)
    }

    /// Returns the kernel's address of `length` bytes that the module sees at `address`, if they lie in its segments, its heap
    /// or its linear memory.
    pub fn alias_of(&self, address: u64, length: u64) -> Option<u64> {
        let own = self.segments.contains(address, length).then(|| address - self.segments.base + self.alias().base);
        own.or_else(|| self.window()?.alias_of(address, length))
    }

    /// Passes bytes of its data to `look`; returns whether they lie there. No call of it is running.
    pub(crate) fn reach(&self, address: u64, length: u64, look: &mut dyn FnMut(&mut [u8])) -> bool {
        let alias = if self.is_data(address, length) { self.alias_of(address, length) } else { None };
        let Some(alias) = alias else { return false };
        // SAFETY: these bytes of its data are mapped writable there, as was just checked, and no one else uses them: its
        // module is not running, and the image's owner is who asks.
        look(unsafe { core::slice::from_raw_parts_mut(alias as *mut u8, length as usize) });
        true
    }

    /// Returns whether `length` bytes at `address` lie in its data, its heap or its linear memory.
    pub fn is_data(&self, address: u64, length: u64) -> bool {
        let ([_, _, (data, size)], (heap, heap_size)) = (self.segments.all(), self.segments.heap());
        is_within(address, length, data, size as u64)
            || is_within(address, length, heap, heap_size)
            || self.window().is_some_and(|window| window.alias_of(address, length).is_some())
    }

    /// Maps a region for the module, which has the kernel's own in ring 0. Returns its address there.
    pub(crate) fn map_region(&self, memory: &RegionMemory, is_writable: bool) -> Result<u64, PlatformError> {
        let Some(user) = self.user() else { return Ok(memory.address) };
        let flags = if is_writable { WRITE } else { READ };
        user.map_region(memory.address, memory.bytes(), flags).map_err(|_| no_pages(memory.pages.into()))
    }

    /// Unmaps a region for the module. In ring 0 there is nothing to unmap.
    pub(crate) fn unmap_region(&self, memory: &RegionMemory) {
        if let Some(user) = self.user() {
            user.unmap_region(memory.address, memory.bytes());
        }
    }

    /// Returns the bytes that images take of shared pages.
    #[inline]
    pub(crate) fn shared_bytes() -> u64 {
        shared_arena::used()
    }

    /// Returns the segments as the kernel sees them.
    #[inline]
    fn alias(&self) -> &Segments {
        self.dedicated.as_ref().map_or(&self.segments, |dedicated| &dedicated.alias)
    }

    /// Returns the top of the stack in the kernel domain.
    #[inline(always)]
    pub const fn kernel_stack_top(&self) -> u64 {
        MODULE_STACK.bottom() + self.stack as u64
    }

    /// Returns the stack's size, in bytes.
    #[inline(always)]
    pub const fn stack_size(&self) -> u64 {
        self.stack as u64
    }

    /// Returns the top of the stack, as the module sees it.
    pub fn stack_top(&self) -> u64 {
        if self.user().is_some() { layout::STACK_TOP } else { self.kernel_stack_top() }
    }

    /// Returns the lowest address of the stack, as the module sees it, and its size.
    fn stack(&self) -> (u64, u64) {
        (self.stack_top() - u64::from(self.stack), self.stack.into())
    }

    /// Returns the segments at the addresses where they can be written.
    #[inline(always)]
    fn writable(&mut self) -> [&mut [u8]; 3] {
        let write_offsets = if self.dedicated.is_some() { [0; 3] } else { shared_arena::write_offsets() };
        let [text, rodata, data] = self.alias().all();
        let [text_shift, rodata_shift, data_shift] = write_offsets;
        // SAFETY: `allocate` made these bytes writable at these addresses for this image only, and the segments lie
        // apart. The image is borrowed for as long as the slices live. A segment without bytes has no page; its
        // address is aligned and not null.
        unsafe {
            [
                core::slice::from_raw_parts_mut(text.0.wrapping_add(text_shift) as *mut u8, text.1),
                core::slice::from_raw_parts_mut(rodata.0.wrapping_add(rodata_shift) as *mut u8, rodata.1),
                core::slice::from_raw_parts_mut(data.0.wrapping_add(data_shift) as *mut u8, data.1),
            ]
        }
    }
}

/// Allocates the memory of a region, at the kernel's alias of it.
pub fn allocate_region(pages: u32) -> Result<RegionMemory, PlatformError> {
    let pages = u64::from(pages);
    Pages::new(pages * PAGE_SIZE).map(Pages::into_region).map_err(|_| no_pages(pages))
}

/// Frees the memory of a region.
pub fn free_region(memory: &RegionMemory) {
    drop(Pages::from_region(memory));
}

/// Returns the error that `pages` pages can't be mapped.
#[cold]
const fn no_pages(pages: u64) -> PlatformError {
    PlatformError { what: "map pages", bytes: (pages * PAGE_SIZE) as usize }
}

/// An image that is being filled. Only an unsealed image can be written to.
pub struct UnsealedImage(pub(crate) Image);

impl WritableImage for UnsealedImage {
    fn base(&self) -> u64 {
        self.0.segments.base
    }
    fn memory_base(&self) -> u64 {
        self.0.window().map_or(0, Window::base)
    }
    #[inline(always)]
    fn segments(&mut self) -> [&mut [u8]; 3] {
        self.0.writable()
    }
}

/// An image that is being filled once more, where it is.
struct Unsealed<'image>(&'image mut Image);

impl WritableImage for Unsealed<'_> {
    fn base(&self) -> u64 {
        self.0.segments.base
    }
    fn memory_base(&self) -> u64 {
        self.0.window().map_or(0, Window::base)
    }
    fn segments(&mut self) -> [&mut [u8]; 3] {
        self.0.writable()
    }
}
