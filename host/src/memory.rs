//! Memory of modules: arenas of addresses, reserved once, in which segments are
//! mapped when a module comes and unmapped when it goes.

use std::io;
use std::ptr::{null_mut, without_provenance_mut};

use bareflow_abi::layout::{DATA_OFFSET, IMAGE_SPAN, MAX_SEGMENT_SIZE, RODATA_OFFSET, TEXT_OFFSET};
use bareflow_loader::{Draft, ImageSize, PlatformError};
use libc::{MAP_ANONYMOUS, MAP_FIXED, MAP_FIXED_NOREPLACE, MAP_NORESERVE, MAP_PRIVATE};
use libc::{PROT_EXEC, PROT_NONE, PROT_READ, PROT_WRITE};

/// Bytes of a page.
const PAGE_SIZE: u64 = 4096;

/// Pages of offsets in an arena, which the three segments of an image share.
const ARENA_PAGES: u64 = MAX_SEGMENT_SIZE / PAGE_SIZE;

/// How far from the process's own text the first arena is looked for: beyond
/// the heap's first growth, and near enough for calls to be cheap.
const DISTANCES: std::ops::Range<u64> = 1..4;

/// A module's memory.
#[derive(Debug)]
pub struct Image {
    arena: usize,
    base: u64,
    pages: u64,
    size: ImageSize,
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
    /// Free offsets: first page and number of pages, in rising order, never touching.
    free: Vec<(u64, u64)>,
}

impl Arenas {
    pub fn new() -> io::Result<Arenas> {
        Ok(Arenas(vec![Arena::reserve()?]))
    }

    /// Zeroed, writable memory for an image.
    pub fn reserve(&mut self, size: ImageSize) -> Result<ImageDraft, PlatformError> {
        let pages = [size.text, size.rodata, size.data].map(|bytes| (bytes as u64).div_ceil(PAGE_SIZE));
        let pages = pages.into_iter().max().unwrap_or(0);
        let error = |what| PlatformError { what, bytes: (pages * PAGE_SIZE) as usize };
        if !self.0.iter().any(|arena| arena.free.iter().any(|&(_, count)| count >= pages)) {
            self.0.push(Arena::reserve().map_err(|_| error("reserve addresses"))?);
        }
        let mut arenas = self.0.iter_mut().enumerate();
        let (arena, base) =
            arenas.find_map(|(index, arena)| Some((index, arena.take(pages)?))).ok_or(error("reserve addresses"))?;
        let image = Image { arena, base, pages, size };
        for (start, bytes) in image.segments().into_iter().filter(|&(_, bytes)| bytes > 0) {
            if map_over(start, bytes, PROT_READ | PROT_WRITE, 0).is_err() {
                self.release(image);
                return Err(error("map pages"));
            }
        }
        Ok(ImageDraft(image))
    }

    /// Gives the memory and the addresses back.
    pub fn release(&mut self, image: Image) {
        for (start, bytes) in image.segments().into_iter().filter(|&(_, bytes)| bytes > 0) {
            // Where this fails the pages stay, and so do their addresses: nothing may be placed there.
            if map_over(start, bytes, PROT_NONE, MAP_NORESERVE).is_err() {
                return;
            }
        }
        if let Some(arena) = self.0.get_mut(image.arena) {
            arena.give_back(image.base, image.pages);
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
        Ok(Arena { base, free: vec![(0, ARENA_PAGES)] })
    }

    /// Takes `pages` out of the first free range that has them.
    fn take(&mut self, pages: u64) -> Option<u64> {
        let index = self.free.iter().position(|&(_, count)| count >= pages)?;
        let (first, count) = self.free[index];
        if count == pages {
            self.free.remove(index);
        } else {
            self.free[index] = (first + pages, count - pages);
        }
        Some(self.base + first * PAGE_SIZE)
    }

    /// Puts pages back and joins them with their neighbours.
    fn give_back(&mut self, base: u64, pages: u64) {
        let first = (base - self.base) / PAGE_SIZE;
        let index = self.free.partition_point(|&(start, _)| start < first);
        self.free.insert(index, (first, pages));
        for left in [index, index.wrapping_sub(1)] {
            if let Some([(start, count), (next, more)]) = self.free.get(left..left.wrapping_add(2))
                && start + count == *next
            {
                let joined = (*start, count + more);
                self.free.splice(left..left + 2, [joined]);
            }
        }
    }
}

impl Image {
    /// The distance of `address` from the base, if it lies in one of the segments.
    pub(crate) fn offset_of(&self, address: u64) -> Option<u64> {
        self.contains(address, 1).then(|| address - self.base)
    }

    /// Whether `length` bytes from `address` on lie in one of the segments.
    pub(crate) fn contains(&self, address: u64, length: u64) -> bool {
        self.segments().into_iter().any(|(start, bytes)| {
            let end = start + bytes as u64;
            address >= start && address <= end && length <= end - address
        })
    }

    /// Address and length of text, rodata and data.
    fn segments(&self) -> [(u64, usize); 3] {
        [
            (self.base + TEXT_OFFSET, self.size.text),
            (self.base + RODATA_OFFSET, self.size.rodata),
            (self.base + DATA_OFFSET, self.size.data),
        ]
    }
}

impl ImageDraft {
    /// Gives text and rodata their final permissions; data has its own already.
    pub(crate) fn seal(self) -> Result<Image, (Image, PlatformError)> {
        let image = self.0;
        let [text, rodata, _] = image.segments();
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
        let (start, bytes) = self.0.segments()[index];
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
        self.0.base
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
