//! A platform without containment: modules run in ring 0 and are called as ordinary functions.

use core::arch::x86_64::_mm_lfence;
use core::cell::RefCell;
use core::ffi::c_void;
use core::mem::transmute;
use core::ptr::{null_mut, with_exposed_provenance_mut};
use core::slice::{from_raw_parts, from_raw_parts_mut};

use allocator_api2::alloc::Global;
use bareflow_abi::header::{SERVICE_CLOCK, SERVICE_LOG};
use bareflow_abi::layout::{IMAGE_SPAN, MAX_SEGMENT_SIZE};
use bareflow_abi::{Context, EntryFn, Services};
use bareflow_loader::range_allocator::RangeAllocator;
use bareflow_loader::segments::{PAGE_SIZE, Segments};
use bareflow_loader::{
    Call, CallFailure, CallOutcome, ImageSize, Placement, Platform, PlatformError, TimedCall, WritableImage,
};

use crate::services::read_clock;
use crate::{Serializer, clock};

/// The address space for the images of one [`Direct`], in bytes. Most of it is never mapped.
pub const SPAN_BYTES: u64 = IMAGE_SPAN;

/// A range of whole pages of 4096 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageRange {
    /// The address of the first page.
    pub start: u64,
    /// The length of the range, in bytes.
    pub bytes: usize,
}

/// The access to sealed pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read and execute.
    Execute,
    /// Read only.
    Read,
}

/// The pages of a kernel, as [`Direct`] requests them.
///
/// # Safety
/// After [`allocate`](Self::allocate) has returned `true`, the pages are zeroed, writable and used by no one else,
/// until [`free`](Self::free). Pages that are not mapped at another address as well keep the access that
/// [`protect`](Self::protect) gave them.
pub unsafe trait PageMemory {
    /// Maps zeroed pages, writable and not executable. Returns `false`, with nothing mapped, if memory runs out.
    ///
    /// # Safety
    /// The pages lie in the span that [`Direct::new`] was given, and are not mapped.
    unsafe fn allocate(&self, pages: PageRange) -> bool;

    /// Changes the access to pages, on every processor. Returns `false` if that is not possible.
    ///
    /// # Safety
    /// [`allocate`](Self::allocate) mapped the pages, and no one writes to them any more.
    unsafe fn protect(&self, pages: PageRange, access: Access) -> bool;

    /// Unmaps and frees pages.
    ///
    /// # Safety
    /// [`allocate`](Self::allocate) mapped the pages, and no one uses them any more.
    unsafe fn free(&self, pages: PageRange);

    /// Reads the cycle clock; by default the processor's time-stamp counter.
    fn clock(&self) -> u64 {
        clock::now()
    }
}

/// A platform that runs modules in ring 0, on the caller's stack.
///
/// A fault of a module is a fault of the kernel, and the budgets of time and stack are not enforced. Modules have their
/// heap. They can read the clock, and log if [`with_log`](Self::with_log) was called.
pub struct Direct<M> {
    memory: M,
    base: u64,
    /// The free page numbers, counted from the start of each kind of segment.
    ///
    /// The three segments of an image have the same numbers.
    ranges: RefCell<RangeAllocator<Global>>,
    log: Option<fn(&str)>,
    serializer: Serializer,
    services: Services,
}

impl<M: PageMemory> Direct<M> {
    /// Creates a platform whose images lie in the [`SPAN_BYTES`] from `base` on, which is a multiple of 4096.
    ///
    /// # Safety
    /// Nothing else uses these addresses.
    pub unsafe fn new(memory: M, base: u64) -> Direct<M> {
        let mut ranges = RangeAllocator::new_in(Global);
        ranges.free(0, MAX_SEGMENT_SIZE / PAGE_SIZE);
        let (ranges, serializer) = (RefCell::new(ranges), Serializer::detect());
        Direct { memory, base, ranges, log: None, serializer, services: Services::new(log, read_clock) }
    }

    /// Returns the same platform with a function that shows the lines which modules log.
    #[must_use]
    pub fn with_log(self, log: fn(&str)) -> Direct<M> {
        Direct { log: Some(log), ..self }
    }

    /// Maps an image's segments. If one can't be mapped, frees those that were.
    fn map(&self, segments: &Segments) -> bool {
        let mapped = pages(segments);
        for (count, pages) in mapped.into_iter().enumerate() {
            // SAFETY: `allocate` took these page numbers from the free ones, so nothing is mapped there.
            if pages.bytes > 0 && !unsafe { self.memory.allocate(pages) } {
                self.unmap(mapped.into_iter().take(count));
                return false;
            }
        }
        true
    }

    fn unmap(&self, mapped: impl Iterator<Item = PageRange>) {
        for pages in mapped.filter(|pages| pages.bytes > 0) {
            // SAFETY: `map` mapped them; no one uses them once their image is gone.
            unsafe { self.memory.free(pages) };
        }
    }

    fn free_image(&self, image: &DirectImage) {
        self.unmap(pages(&image.segments).into_iter());
        self.ranges.borrow_mut().free(image.first_page, image.pages);
    }
}

/// An image with pages of its own.
#[derive(Debug)]
pub struct DirectImage {
    segments: Segments,
    first_page: u64,
    pages: u64,
}

/// Returns the pages of text, rodata, and data with the heap.
fn pages(segments: &Segments) -> [PageRange; 3] {
    segments.mapped().map(|(start, bytes)| PageRange { start, bytes: bytes.next_multiple_of(PAGE_SIZE) as usize })
}

impl WritableImage for DirectImage {
    fn base(&self) -> u64 {
        self.segments.base
    }

    fn segments(&mut self) -> [&mut [u8]; 3] {
        self.segments.all().map(|(start, bytes)| match bytes {
            0 => &mut [][..],
            // SAFETY: `allocate` mapped these bytes writable for this image alone; the segments lie apart, and the
            // image is borrowed for as long as the slices live.
            _ => unsafe { from_raw_parts_mut(with_exposed_provenance_mut(start as usize), bytes) },
        })
    }
}

// SAFETY: `PageMemory`'s contract gives each image memory of its own; a module is called as an ordinary function of the
// System V interface, which the trusted blobs keep.
unsafe impl<M: PageMemory> Platform for Direct<M> {
    type Alloc = Global;
    type WritableImage = DirectImage;
    type Image = DirectImage;

    fn allocator(&self) -> Global {
        Global
    }

    fn offered_services(&self) -> u32 {
        if self.log.is_some() { SERVICE_CLOCK | SERVICE_LOG } else { SERVICE_CLOCK }
    }

    fn allocate(&self, size: ImageSize, placement: &Placement) -> Result<DirectImage, PlatformError> {
        let heap = placement.budget.heap_bytes;
        let pages = Segments::pages(&size, heap);
        let failed = PlatformError { what: "map pages", bytes: (pages * PAGE_SIZE) as usize };
        let first_page = self.ranges.borrow_mut().allocate(pages).ok_or(failed)?;
        let segments = Segments { base: self.base + first_page * PAGE_SIZE, size, heap_bytes: heap };
        if !self.map(&segments) {
            self.ranges.borrow_mut().free(first_page, pages);
            return Err(failed);
        }
        Ok(DirectImage { segments, first_page, pages })
    }

    fn seal(&self, image: DirectImage) -> Result<DirectImage, PlatformError> {
        let [text, rodata, _] = pages(&image.segments);
        for (pages, access) in [(text, Access::Execute), (rodata, Access::Read)] {
            // SAFETY: `allocate` mapped them, and the loader has finished writing to them.
            if pages.bytes > 0 && !unsafe { self.memory.protect(pages, access) } {
                self.free_image(&image);
                return Err(PlatformError { what: "protect pages", bytes: pages.bytes });
            }
        }
        self.serializer.serialize();
        Ok(image)
    }

    fn release(&self, image: DirectImage) {
        self.free_image(&image);
    }

    fn clock(&self) -> u64 {
        self.memory.clock()
    }

    fn clock_fenced(&self) -> u64 {
        // SAFETY: every x86-64 processor has the instruction.
        unsafe { _mm_lfence() };
        self.memory.clock()
    }

    fn call(&self, call: &Call<'_, DirectImage>, output: &mut [u8]) -> Result<TimedCall, CallFailure> {
        let capacity = output.len();
        let (heap, heap_bytes) = call.image().segments.heap();
        let log = self.log.map_or(null_mut(), |log| log as *mut c_void);
        let mut context =
            Context::new(&self.services, call.input(), output).with_caller(call.caller()).with_embedder(log);
        if heap_bytes > 0 {
            context = context.with_heap(heap, heap_bytes);
        }
        // SAFETY: the loader has validated that the entry lies in the image's text, which is sealed.
        let entry: EntryFn = unsafe { transmute(call.entry() as *const ()) };
        // SAFETY: the context is made of slices that outlive the call; the manager's
        // `KernelDomain` vouches for what the blobs do.
        let (result, cycles) = call.timing().measure(self, || unsafe { entry(&mut context, call.reason()) });
        let output_length = context.output_length().min(capacity);
        Ok(TimedCall { outcome: CallOutcome { result, output_length }, cycles })
    }
}

extern "C" fn log(context: *mut Context<'_>, text: *const u8, bytes: usize) {
    // SAFETY: a module passes its call's context, and its text by pointer and length; it is trusted to do so.
    let (context, text) = unsafe { (&*context, from_raw_parts(text, bytes)) };
    if let (false, Ok(text)) = (context.embedder().is_null(), core::str::from_utf8(text)) {
        // SAFETY: `call` set this pointer to a function of this type.
        let log: fn(&str) = unsafe { transmute(context.embedder()) };
        log(text);
    }
}
