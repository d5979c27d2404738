//! The addresses of an image's segments.

use bareflow_abi::layout::{DATA_OFFSET, RODATA_OFFSET, TEXT_OFFSET};

/// The sizes of one image's segments, in bytes, as validation accepted them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageSize {
    /// The size of the text; at least 1.
    pub text_bytes: u32,
    /// The size of the read-only data.
    pub rodata_bytes: u32,
    /// The size of the writable data, bss included.
    pub data_bytes: u32,
    /// The alignment of every segment's start: a power of two, at most 4096.
    pub alignment: u32,
}

/// The segments of an image that is placed at `base`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segments {
    /// The image's base address.
    pub base: u64,
    /// The segments' sizes.
    pub size: ImageSize,
    /// The size of the heap. The heap follows the data's last page.
    pub heap_bytes: u32,
}

/// The granule of segments that share pages, in bytes: a cache line.
pub const GRANULE_SIZE: u64 = 64;

/// The granule of stack and heap, in bytes.
pub const PAGE_SIZE: u64 = 4096;

impl Segments {
    /// Returns address and length in bytes of text, rodata and data, bss included.
    #[must_use]
    pub const fn all(&self) -> [(u64, usize); 3] {
        [
            (self.base + TEXT_OFFSET, self.size.text_bytes as usize),
            (self.base + RODATA_OFFSET, self.size.rodata_bytes as usize),
            (self.base + DATA_OFFSET, self.size.data_bytes as usize),
        ]
    }

    /// Returns address and length in bytes of the heap.
    #[must_use]
    pub const fn heap(&self) -> (u64, u64) {
        (self.base + DATA_OFFSET + whole_pages(self.size.data_bytes), self.heap_bytes as u64)
    }

    /// Returns address and length in bytes of the parts that have pages of their own.
    ///
    /// These are text, rodata, and data with the heap.
    #[must_use]
    pub const fn mapped(&self) -> [(u64, u64); 3] {
        let [text, rodata, data] = self.all();
        let (heap, size) = self.heap();
        [(text.0, text.1 as u64), (rodata.0, rodata.1 as u64), (data.0, heap + size - data.0)]
    }

    /// Returns the offset of `address` from the base, if it lies in one of the segments.
    #[must_use]
    pub fn offset_of(&self, address: u64) -> Option<u64> {
        self.contains(address, 1).then(|| address - self.base)
    }

    /// Returns whether `length` bytes at `address` lie in one of the segments, or in the heap.
    #[must_use]
    pub fn contains(&self, address: u64, length: u64) -> bool {
        let (heap, size) = self.heap();
        is_within(address, length, heap, size)
            || self.all().into_iter().any(|(start, bytes)| is_within(address, length, start, bytes as u64))
    }

    /// Returns whether `length` bytes at `address` lie in the text.
    #[must_use]
    pub fn is_text(&self, address: u64, length: u64) -> bool {
        is_within(address, length, self.base + TEXT_OFFSET, self.size.text_bytes as u64)
    }

    /// Returns the longest segment's length in granules, and the alignment of its first granule.
    ///
    /// Used for images that share pages.
    ///
    /// Data and heap count as one segment.
    #[must_use]
    pub const fn granules(size: &ImageSize, heap: u32) -> (u64, u64) {
        let data = if heap == 0 { size.data_bytes as u64 } else { whole_pages(size.data_bytes) + heap as u64 };
        let mut longest = size.text_bytes as u64;
        if longest < size.rodata_bytes as u64 {
            longest = size.rodata_bytes as u64;
        }
        if longest < data {
            longest = data;
        }
        // A heap begins at a page boundary, so the data before it does, too.
        let alignment = if heap == 0 { size.alignment as u64 } else { PAGE_SIZE };
        (longest.div_ceil(GRANULE_SIZE), alignment.div_ceil(GRANULE_SIZE))
    }

    /// Returns the longest segment's length in pages. Data and heap count as one segment.
    #[must_use]
    pub const fn pages(size: &ImageSize, heap: u32) -> u64 {
        let data = (size.data_bytes as u64).div_ceil(PAGE_SIZE) + (heap as u64).div_ceil(PAGE_SIZE);
        let constant = if size.text_bytes > size.rodata_bytes { size.text_bytes } else { size.rodata_bytes };
        let constant = (constant as u64).div_ceil(PAGE_SIZE);
        if data > constant { data } else { constant }
    }
}

/// Returns `bytes` rounded up to whole pages.
const fn whole_pages(bytes: u32) -> u64 {
    (bytes as u64 + PAGE_SIZE - 1) & !(PAGE_SIZE - 1)
}

/// Returns whether `length` bytes at `address` lie in the `size` bytes from `start` on.
#[must_use]
pub const fn is_within(address: u64, length: u64, start: u64, size: u64) -> bool {
    address >= start && address - start <= size && length <= size - (address - start)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: ImageSize = ImageSize { text_bytes: 100, rodata_bytes: 0, data_bytes: 5000, alignment: 16 };

    #[test]
    fn knows_its_addresses() {
        let segments = Segments { base: 0x1000, size: SIZE, heap_bytes: 4096 };
        assert_eq!(segments.offset_of(0x1063), Some(0x63));
        assert_eq!(segments.offset_of(0x1064), None);
        assert_eq!(segments.offset_of(0x0fff), None);
        assert!(segments.contains(0x1000 + DATA_OFFSET, 5000));
        assert!(!segments.contains(0x1000 + DATA_OFFSET, 5001));
        assert_eq!(segments.heap(), (0x3000 + DATA_OFFSET, 4096));
        assert!(segments.contains(0x3000 + DATA_OFFSET, 4096) && !segments.contains(0x3000 + DATA_OFFSET, 4097));
        assert_eq!(segments.mapped()[2], (0x1000 + DATA_OFFSET, 0x3000));
        assert!(!segments.contains(u64::MAX, u64::MAX));
        assert!(segments.is_text(0x1063, 1) && !segments.is_text(0x1063, 2));
        assert_eq!((Segments::granules(&SIZE, 0), Segments::granules(&SIZE, 4096)), ((79, 1), (192, 64)));
        assert_eq!(Segments::granules(&ImageSize { alignment: 256, data_bytes: 0, ..SIZE }, 0), (2, 4));
        assert_eq!((Segments::pages(&SIZE, 0), Segments::pages(&SIZE, 4096)), (2, 3));
    }
}
