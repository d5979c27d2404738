//! Bytes that others may write at any time.

use core::fmt;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use crate::interface::Plain;

/// Bytes that others may write at any time, so that they are copied in and out, and never lent as a slice.
///
/// ```
/// use bareflow_abi::shared::SharedBytes;
///
/// let mut memory = [0; 16];
/// let bytes = SharedBytes::new(&mut memory);
/// bytes.write(3, b"hello").unwrap();
/// let mut copy = [0; 5];
/// bytes.read(3, &mut copy).unwrap();
/// assert_eq!(&copy, b"hello");
/// assert!(bytes.write(12, b"hello").is_err());
/// ```
#[derive(Clone, Copy)]
pub struct SharedBytes<'memory>(&'memory [AtomicU8]);

/// An access beyond the end of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfBounds;

impl fmt::Display for OutOfBounds {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("access beyond the end of shared bytes")
    }
}

impl<'memory> SharedBytes<'memory> {
    /// Makes bytes that are borrowed alone usable by several.
    #[must_use]
    pub const fn new(bytes: &'memory mut [u8]) -> SharedBytes<'memory> {
        // SAFETY: the slice is borrowed alone for `'memory`, and is mapped and writable.
        unsafe { SharedBytes::from_raw(bytes.as_mut_ptr(), bytes.len()) }
    }

    /// Creates the bytes at `start`.
    ///
    /// # Safety
    /// As many are mapped and writable for `'memory`, and whoever else uses them does so as shared bytes.
    #[must_use]
    #[inline]
    pub const unsafe fn from_raw(start: *mut u8, length: usize) -> SharedBytes<'memory> {
        // SAFETY: as the caller promises; an `AtomicU8` has the layout of a byte.
        SharedBytes(unsafe { core::slice::from_raw_parts(start.cast(), length) })
    }

    /// Returns the number of bytes.
    #[must_use]
    #[inline]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there are none.
    #[must_use]
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns `length` bytes from `offset` on; `None` if there are not that many.
    #[must_use]
    #[inline]
    pub fn part(&self, offset: usize, length: usize) -> Option<SharedBytes<'memory>> {
        self.0.get(offset..offset.checked_add(length)?).map(SharedBytes)
    }

    /// Returns the buffer `index` of those of `bytes` bytes that lie one behind the other; `None` if it is none.
    #[must_use]
    #[inline]
    pub fn buffer(&self, index: u32, bytes: usize) -> Option<SharedBytes<'memory>> {
        self.part((index as usize).checked_mul(bytes)?, bytes)
    }

    /// Copies the bytes from `offset` on to `target`.
    ///
    /// # Errors
    /// [`OutOfBounds`]: there are not that many, and nothing is copied.
    pub fn read(&self, offset: usize, target: &mut [u8]) -> Result<(), OutOfBounds> {
        let (start, words, end) = self.part(offset, target.len()).ok_or(OutOfBounds)?.words();
        let (first, rest) = target.split_at_mut(start.len());
        let (middle, last) = rest.split_at_mut(8 * words.len());
        let copy = |bytes: &[AtomicU8], target: &mut [u8]| {
            target.iter_mut().zip(bytes).for_each(|(to, from)| *to = from.load(Ordering::Relaxed));
        };
        copy(start, first);
        for (to, from) in middle.as_chunks_mut().0.iter_mut().zip(words) {
            *to = from.load(Ordering::Relaxed).to_ne_bytes();
        }
        copy(end, last);
        Ok(())
    }

    /// Copies `source` to the bytes from `offset` on.
    ///
    /// # Errors
    /// [`OutOfBounds`]: there are not that many, and nothing is copied.
    pub fn write(&self, offset: usize, source: &[u8]) -> Result<(), OutOfBounds> {
        let (start, words, end) = self.part(offset, source.len()).ok_or(OutOfBounds)?.words();
        let (first, rest) = source.split_at(start.len());
        let (middle, last) = rest.split_at(8 * words.len());
        let copy = |bytes: &[AtomicU8], source: &[u8]| {
            bytes.iter().zip(source).for_each(|(to, from)| to.store(*from, Ordering::Relaxed));
        };
        copy(start, first);
        for (to, from) in words.iter().zip(middle.as_chunks().0) {
            to.store(u64::from_ne_bytes(*from), Ordering::Relaxed);
        }
        copy(end, last);
        Ok(())
    }

    /// Copies a value out.
    ///
    /// # Errors
    /// [`OutOfBounds`].
    pub fn get<T: Plain>(&self, offset: usize) -> Result<T, OutOfBounds> {
        let mut value = MaybeUninit::<T>::zeroed();
        // SAFETY: all bytes of it are initialised, and a slice of bytes has no alignment.
        let bytes = unsafe { core::slice::from_raw_parts_mut(value.as_mut_ptr().cast(), size_of::<T>()) };
        self.read(offset, bytes)?;
        // SAFETY: every pattern of bits is a value.
        Ok(unsafe { value.assume_init() })
    }

    /// Copies a value in.
    ///
    /// # Errors
    /// [`OutOfBounds`].
    pub fn set<T: Plain>(&self, offset: usize, value: T) -> Result<(), OutOfBounds> {
        // SAFETY: a plain value has no padding, so all of its bytes are initialised.
        self.write(offset, unsafe { core::slice::from_raw_parts((&raw const value).cast(), size_of::<T>()) })
    }

    /// Returns the number at `offset`, to be read and changed at once; `None` if it is not aligned, or out of bounds.
    #[must_use]
    #[inline]
    pub fn atomic_u32(&self, offset: usize) -> Option<&'memory AtomicU32> {
        // SAFETY: an `AtomicU32` is four bytes of which every pattern is a value, and all of them may be changed.
        let (start, numbers, _) = unsafe { self.part(offset, 4)?.0.align_to() };
        numbers.first().filter(|_| start.is_empty())
    }

    /// Returns the words that the bytes hold: some bytes, aligned words, some bytes.
    #[inline]
    pub(super) fn words(self) -> (&'memory [AtomicU8], &'memory [AtomicU64], &'memory [AtomicU8]) {
        // SAFETY: an `AtomicU64` is eight bytes of which every pattern is a value, and all of them may be changed.
        unsafe { self.0.align_to() }
    }
}

impl fmt::Debug for SharedBytes<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("SharedBytes").field("length", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_any_part_in_and_out() {
        for offset in 0..20 {
            for length in 0..20 {
                let mut memory = [0xee; 40];
                let bytes = SharedBytes::new(&mut memory);
                let source: [u8; 20] = core::array::from_fn(|index| index as u8);
                bytes.write(offset, &source[..length]).unwrap();
                let mut copy = [0; 20];
                bytes.read(offset, &mut copy[..length]).unwrap();
                assert_eq!(copy[..length], source[..length], "{offset} {length}");
                let changed = memory.iter().filter(|byte| **byte != 0xee).count();
                assert_eq!(changed, length, "{offset} {length}");
            }
        }
    }

    #[test]
    fn goes_no_further_than_the_end() {
        let mut memory = [0; 16];
        let bytes = SharedBytes::new(&mut memory);
        for (offset, length) in [(0, 17), (16, 1), (17, 0), (usize::MAX, 1), (usize::MAX, 0), (9, 8)] {
            assert_eq!(bytes.read(offset, &mut [1; 17][..length]), Err(OutOfBounds), "{offset} {length}");
            assert_eq!(bytes.write(offset, &[1; 17][..length]), Err(OutOfBounds), "{offset} {length}");
        }
        assert_eq!((bytes.get::<u64>(9), bytes.set(9, 1_u64)), (Err(OutOfBounds), Err(OutOfBounds)));
        assert_eq!(bytes.set(3, 0x0102_0304_u32), Ok(()));
        assert_eq!(bytes.get::<u32>(3), Ok(0x0102_0304));
        assert!(bytes.buffer(1, 8).is_some_and(|buffer| buffer.len() == 8));
        for (index, size) in [(2, 8), (u32::MAX, usize::MAX), (u32::MAX, 1), (0, 17)] {
            assert!(bytes.buffer(index, size).is_none(), "{index} {size}");
        }
        assert_eq!(memory[8..], [0; 8]);
    }

    #[test]
    fn has_only_aligned_numbers() {
        #[repr(align(8))]
        struct Aligned([u8; 16]);
        let mut memory = Aligned([0; 16]);
        let bytes = SharedBytes::new(&mut memory.0);
        bytes.atomic_u32(12).unwrap().store(7, Ordering::Relaxed);
        for offset in [1, 2, 3, 13, 16, usize::MAX] {
            assert!(bytes.atomic_u32(offset).is_none(), "{offset}");
        }
        assert_eq!(bytes.get::<u32>(12), Ok(7));
    }
}
