//! Memory of modules: an arena of addresses in the upper two gigabytes, so that
//! calls between kernel and modules stay near.

use alloc::vec::Vec;

use bareflow_abi::layout::{DATA_OFFSET, MAX_SEGMENT_SIZE, RODATA_OFFSET, TEXT_OFFSET};
use bareflow_loader::{Draft, ImageSize, PlatformError};
use spin::Mutex;

use crate::memory::PAGE_SIZE;
use crate::memory::tables::{self, READ_EXECUTE, READ_ONLY};

/// Address of the first image. Its rodata and data lie in the same two gigabytes.
const ARENA: u64 = 0xffff_ffff_9000_0000;

/// Pages of offsets in the arena, which the three segments share.
const ARENA_PAGES: u64 = MAX_SEGMENT_SIZE / PAGE_SIZE;

/// Free offsets: first page and number of pages, in rising order, never touching.
static FREE: Mutex<Vec<(u64, u64)>> = Mutex::new(Vec::new());

/// A module's memory.
#[derive(Debug)]
pub struct Image {
    base: u64,
    pages: u64,
    size: ImageSize,
}

/// Opens the arena.
pub fn open_arena() {
    *FREE.lock() = Vec::from([(0, ARENA_PAGES)]);
}

impl Image {
    /// Zeroed, writable memory for an image.
    pub fn reserve(size: ImageSize) -> Result<Image, PlatformError> {
        let pages = [size.text, size.rodata, size.data].map(|bytes| (bytes as u64).div_ceil(PAGE_SIZE));
        let pages = pages.into_iter().max().unwrap_or(0);
        let error = |what| PlatformError { what, bytes: (pages * PAGE_SIZE) as usize };
        let first = take(pages).ok_or_else(|| error("reserve addresses"))?;
        let image = Image { base: ARENA + first * PAGE_SIZE, pages, size };
        for (start, bytes) in image.segments() {
            for address in (start..start + bytes as u64).step_by(PAGE_SIZE as usize) {
                if tables::map_zeroed(address).is_err() {
                    image.release();
                    return Err(error("map pages"));
                }
            }
        }
        Ok(image)
    }

    /// Gives text and rodata their final permissions; data has its own already.
    pub fn seal(&self) {
        let [text, rodata, _] = self.segments();
        for ((start, bytes), flags) in [(text, READ_EXECUTE), (rodata, READ_ONLY)] {
            for address in (start..start + bytes as u64).step_by(PAGE_SIZE as usize) {
                tables::protect(address, flags);
            }
        }
    }

    /// Gives all memory and the addresses back.
    pub fn release(self) {
        for (start, bytes) in self.segments().into_iter().filter(|&(_, bytes)| bytes > 0) {
            let end = start + bytes as u64;
            for address in (start..end).step_by(PAGE_SIZE as usize) {
                tables::unmap(address);
            }
            tables::clean_up(start, end - 1);
        }
        give_back((self.base - ARENA) / PAGE_SIZE, self.pages);
    }

    /// The distance of `address` from the base, if it lies in one of the segments.
    pub fn offset_of(&self, address: u64) -> Option<u64> {
        self.contains(address, 1).then(|| address - self.base)
    }

    /// Whether `length` bytes from `address` on lie in one of the segments.
    pub fn contains(&self, address: u64, length: u64) -> bool {
        self.segments().into_iter().any(|(start, bytes)| {
            let end = start + bytes as u64;
            address >= start && address <= end && length <= end - address
        })
    }

    /// Whether `address` lies in the text.
    pub fn is_text(&self, address: u64) -> bool {
        address >= self.base && address - self.base < self.size.text as u64
    }

    /// Address and length of text, rodata and data.
    fn segments(&self) -> [(u64, usize); 3] {
        [
            (self.base + TEXT_OFFSET, self.size.text),
            (self.base + RODATA_OFFSET, self.size.rodata),
            (self.base + DATA_OFFSET, self.size.data),
        ]
    }

    fn segment(&mut self, index: usize) -> &mut [u8] {
        let (start, bytes) = self.segments()[index];
        // SAFETY: `reserve` mapped these bytes writable for this image alone, and
        // the draft is borrowed for as long as the slice lives. A segment
        // without bytes has no page; its address is aligned and not null.
        unsafe { core::slice::from_raw_parts_mut(start as *mut u8, bytes) }
    }
}

/// An image that is being filled: only this can be written to.
pub struct ImageDraft(pub Image);

impl Draft for ImageDraft {
    fn base(&self) -> u64 {
        self.0.base
    }
    fn text(&mut self) -> &mut [u8] {
        self.0.segment(0)
    }
    fn rodata(&mut self) -> &mut [u8] {
        self.0.segment(1)
    }
    fn data(&mut self) -> &mut [u8] {
        self.0.segment(2)
    }
}

/// Takes `pages` out of the first free range that has them.
fn take(pages: u64) -> Option<u64> {
    let mut free = FREE.lock();
    let index = free.iter().position(|&(_, count)| count >= pages)?;
    let (first, count) = free.get_mut(index)?;
    let taken = *first;
    (*first, *count) = (*first + pages, *count - pages);
    if *count == 0 {
        free.remove(index);
    }
    Some(taken)
}

/// Puts `pages` back and joins them with their neighbours.
fn give_back(first: u64, pages: u64) {
    let mut free = FREE.lock();
    let index = free.partition_point(|&(start, _)| start < first);
    free.insert(index, (first, pages));
    if let Some([(start, count), (next, more)]) = free.get(index..index + 2)
        && start + count == *next
    {
        let joined = (*start, count + more);
        free.splice(index..index + 2, [joined]);
    }
    if let Some([(start, count), (next, more)]) = index.checked_sub(1).and_then(|before| free.get(before..=index))
        && start + count == *next
    {
        let joined = (*start, count + more);
        free.splice(index - 1..=index, [joined]);
    }
}
