//! Memory of modules: arenas of addresses, reserved once, in which segments are
//! mapped when a module comes and unmapped when it goes.

use std::cell::UnsafeCell;
use std::io;
use std::ptr::{null_mut, without_provenance_mut};

use allocator_api2::alloc::Global;
use bareflow_abi::Context;
use bareflow_abi::layout::{IMAGE_SPAN, MAX_SEGMENT_SIZE};
use bareflow_loader::segments::PAGE_SIZE;
use bareflow_loader::{Draft, FreeRanges, ImageSize, Placement, PlatformError, Segments};
use libc::{MAP_ANONYMOUS, MAP_FIXED, MAP_FIXED_NOREPLACE, MAP_NORESERVE, MAP_PRIVATE};
use libc::{PROT_EXEC, PROT_NONE, PROT_READ, PROT_WRITE};

use crate::child::Child;
use crate::services::SERVICES;

/// Pages of offsets in an arena, which the three segments of an image share.
const ARENA_PAGES: u64 = MAX_SEGMENT_SIZE / PAGE_SIZE;

/// How far from the process's own text the first arena is looked for: beyond
/// the heap's first growth, and near enough for calls to be cheap.
const DISTANCES: std::ops::Range<u64> = 1..4;

/// A module's memory.
#[derive(Debug)]
pub struct Image {
    arena: usize,
    pages: u64,
    pub(crate) segments: Segments,
    /// Where its stack begins.
    pub(crate) stack_top: u64,
    pub(crate) placement: Placement,
    /// The context of calls without input and output.
    context: UnsafeCell<Context<'static>>,
    /// The process it runs in, in the user domain.
    pub(crate) child: Option<Box<Child>>,
}

impl Image {
    /// The context of calls without input and output. What a call left there says nothing to the next one.
    #[inline(always)]
    pub(crate) const fn context(&self) -> *mut Context<'static> {
        self.context.get()
    }
}

/// A module's memory while it is filled.
#[derive(Debug)]
pub struct ImageDraft(Image);

/// All arenas of a platform.
#[derive(Debug)]
pub(crate) struct Arenas(Vec<Arena>);

#[derive(Debug)]
struct Arena {
    base: u64,
    /// Pages of offsets that no image has.
    free: FreeRanges<Global>,
}

impl Arenas {
    pub fn new() -> io::Result<Arenas> {
        Ok(Arenas(vec![Arena::reserve()?]))
    }

    /// Zeroed, writable memory for an image, whose stack begins at `stack_top`.
    pub fn reserve(
        &mut self,
        size: ImageSize,
        placement: &Placement,
        stack_top: u64,
    ) -> Result<ImageDraft, PlatformError> {
        let heap = u64::from(placement.budget.heap);
        let pages = Segments::pages(&size, heap);
        let error = |what| PlatformError { what, bytes: (pages * PAGE_SIZE) as usize };
        let (arena, base) = self.take(pages).map_err(|_| error("reserve addresses"))?;
        let segments = Segments { base, size, heap };
        let (heap_at, heap_size) = segments.heap();
        let context = UnsafeCell::new(Context::new(&SERVICES, &[], &mut []).with_heap(heap_at, heap_size));
        let image = Image { arena, pages, segments, stack_top, placement: *placement, context, child: None };
        for (start, bytes) in mapped(&segments) {
            if map_over(start, bytes as usize, PROT_READ | PROT_WRITE, 0).is_err() {
                self.release(image);
                return Err(error("map pages"));
            }
        }
        Ok(ImageDraft(image))
    }

    /// Offsets for `pages`: the arena, and the image's base.
    fn take(&mut self, pages: u64) -> io::Result<(usize, u64)> {
        let mut arenas = self.0.iter_mut().enumerate();
        let found = arenas.find_map(|(index, arena)| Some((index, arena.base + arena.free.take(pages)? * PAGE_SIZE)));
        if let Some(found) = found {
            return Ok(found);
        }
        let mut arena = Arena::reserve()?;
        let first = arena.free.take(pages).ok_or(io::ErrorKind::OutOfMemory)?;
        let base = arena.base + first * PAGE_SIZE;
        self.0.push(arena);
        Ok((self.0.len() - 1, base))
    }

    /// Gives the memory and the addresses back.
    pub fn release(&mut self, image: Image) {
        // Where this fails the pages stay, and so do their addresses: nothing may be placed there.
        if vacate(&image).is_err() {
            return;
        }
        if let Some(arena) = self.0.get_mut(image.arena) {
            arena.free.give_back((image.segments.base - arena.base) / PAGE_SIZE, image.pages);
        }
    }
}

impl Drop for Arenas {
    fn drop(&mut self) {
        for arena in &self.0 {
            // SAFETY: the range was reserved by `Arena::reserve`, and no image outlives its platform's manager.
            unsafe { libc::munmap(without_provenance_mut(arena.base as usize), IMAGE_SPAN as usize) };
        }
    }
}

impl Arena {
    /// Reserves addresses, near the process's own text where there is room.
    fn reserve() -> io::Result<Arena> {
        let own_text = (Arena::reserve as *const () as u64) & !(MAX_SEGMENT_SIZE - 1);
        let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
        let near = DISTANCES.into_iter().find_map(|distance| {
            let wanted = own_text + distance * MAX_SEGMENT_SIZE;
            let got = map(wanted, IMAGE_SPAN as usize, PROT_NONE, flags | MAP_FIXED_NOREPLACE).ok()?;
            // Kernels before 4.17 take the address for a hint.
            (got == wanted || unmap(got)).then_some(got)
        });
        let base = near.map_or_else(|| map(0, IMAGE_SPAN as usize, PROT_NONE, flags), Ok)?;
        let mut free = FreeRanges::new_in(Global);
        free.give_back(0, ARENA_PAGES);
        Ok(Arena { base, free })
    }
}

impl ImageDraft {
    /// The image, as it is.
    pub(crate) fn into_image(self) -> Image {
        self.0
    }

    /// Gives text and rodata their final permissions; data has its own already.
    pub(crate) fn seal(self) -> Result<Image, (Image, PlatformError)> {
        let image = self.0;
        let [text, rodata, _] = image.segments.all();
        for ((start, bytes), protection) in [(text, PROT_READ | PROT_EXEC), (rodata, PROT_READ)] {
            let address = without_provenance_mut(start as usize);
            // SAFETY: the pages were mapped for this image by `reserve`, and no slice of them is left.
            if bytes > 0 && unsafe { libc::mprotect(address, bytes, protection) } != 0 {
                return Err((image, PlatformError { what: "protect pages", bytes }));
            }
        }
        Ok(image)
    }

    fn segment(&mut self, index: usize) -> &mut [u8] {
        let (start, bytes) = self.0.segments.all()[index];
        if bytes == 0 {
            return &mut [];
        }
        // SAFETY: `reserve` mapped these bytes writable for this image alone, and
        // the draft is borrowed for as long as the slice lives.
        unsafe { std::slice::from_raw_parts_mut(std::ptr::with_exposed_provenance_mut(start as usize), bytes) }
    }
}

impl Draft for ImageDraft {
    fn base(&self) -> u64 {
        self.0.segments.base
    }
    fn text(&mut self) -> &mut [u8] {
        self.segment(0)
    }
    fn rodata(&mut self) -> &mut [u8] {
        self.segment(1)
    }
    fn data(&mut self) -> &mut [u8] {
        self.segment(2)
    }
}

/// Gives an image's memory back, but not its addresses.
pub(crate) fn vacate(image: &Image) -> io::Result<()> {
    mapped(&image.segments)
        .try_for_each(|(start, bytes)| map_over(start, bytes as usize, PROT_NONE, MAP_NORESERVE).map(|_| ()))
}

/// Address and length of what segments have pages for.
fn mapped(segments: &Segments) -> impl Iterator<Item = (u64, u64)> + use<> {
    segments.mapped().into_iter().filter(|&(_, bytes)| bytes > 0)
}

/// Maps fresh zeroed pages over a part of an arena.
fn map_over(start: u64, bytes: usize, protection: i32, flags: i32) -> io::Result<u64> {
    map(start, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | flags)
}

fn map(address: u64, bytes: usize, protection: i32, flags: i32) -> io::Result<u64> {
    let hint = if address == 0 { null_mut() } else { without_provenance_mut(address as usize) };
    // SAFETY: a fixed address is given only for parts of an arena that belong to
    // one image, or with the flag that refuses to replace a mapping.
    let got = unsafe { libc::mmap(hint, bytes, protection, flags, -1, 0) };
    if got == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(got.expose_provenance() as u64) }
}

/// Gives back what was mapped elsewhere than asked for; always `false`.
fn unmap(address: u64) -> bool {
    // SAFETY: `map` just gave this range, and nobody has used it.
    unsafe { libc::munmap(without_provenance_mut(address as usize), IMAGE_SPAN as usize) };
    false
}
