//! The memory of a ring.
//!
//! Layout, in bytes from a multiple of 8 on: the number of elements that were ever pushed (`u32`, wrapping) at 0, of those
//! that were ever popped at 64, and from 128 on the elements, each in whole words of 8 bytes, of which there are as many
//! as the largest power of two that fits.

use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::RingError;
use crate::interface::Plain;
use crate::shared::bytes::SharedBytes;

/// The offset of the number of elements that were ever pushed.
pub(super) const PUSHED: usize = 0;

/// The offset of the number of elements that were ever popped: in a cache line of its own.
pub(super) const POPPED: usize = 64;

/// The offset of the elements.
pub(super) const ELEMENTS: usize = 128;

/// The size of a word, in bytes.
pub(super) const WORD: usize = 8;

/// The largest number of elements: half of what the indices count.
const MAX_CAPACITY: usize = 1 << 31;

/// Returns the bytes of memory that a ring of `capacity` elements takes: `usize::MAX` if there can't be that many.
#[must_use]
pub const fn ring_bytes<T: Plain>(capacity: usize) -> usize {
    ELEMENTS.saturating_add(capacity.saturating_mul(stride::<T>() * WORD))
}

/// Returns the words of an element: at least one, so that elements without bytes are counted as well.
const fn stride<T>() -> usize {
    let words = size_of::<T>().div_ceil(WORD);
    if words == 0 { 1 } else { words }
}

/// The memory of a ring.
pub(super) struct RingMemory<'memory, T> {
    /// The index of this side, which it writes and never reads.
    pub own: &'memory AtomicU32,
    /// The index of the other side.
    pub other: &'memory AtomicU32,
    words: &'memory [AtomicU64],
    /// The number of elements, a power of two, less one.
    mask: u32,
    elements: PhantomData<T>,
}

impl<'memory, T: Plain> RingMemory<'memory, T> {
    const STRIDE: usize = stride::<T>();

    /// Returns the ring in `bytes`, with its indices at `own` and `other`.
    pub fn new(bytes: SharedBytes<'memory>, own: usize, other: usize) -> Result<Self, RingError> {
        let room = bytes.len().checked_sub(ELEMENTS).ok_or(RingError::TooSmall)?;
        let (start, words, _) = bytes.part(ELEMENTS, room).ok_or(RingError::TooSmall)?.words();
        let fitting = (words.len() / Self::STRIDE).min(MAX_CAPACITY);
        let capacity_log2 = fitting.checked_ilog2().filter(|_| start.is_empty()).ok_or(RingError::TooSmall)?;
        let index = |offset| bytes.atomic_u32(offset).ok_or(RingError::TooSmall);
        let mask = ((1_u64 << capacity_log2) - 1) as u32;
        Ok(RingMemory { own: index(own)?, other: index(other)?, words, mask, elements: PhantomData })
    }

    pub const fn capacity(&self) -> u32 {
        self.mask + 1
    }

    /// Returns the words of the element with this number: always some, since a masked number is that of an element.
    #[inline]
    fn element(&self, number: u32) -> Option<&'memory [AtomicU64]> {
        let first = (number & self.mask) as usize * Self::STRIDE;
        self.words.get(first..first + Self::STRIDE)
    }

    #[inline]
    pub fn write(&self, number: u32, value: T) {
        let start = (&raw const value).cast::<u8>();
        let Some(words) = self.element(number) else { return };
        for (index, shared) in words.iter().enumerate() {
            let mut word = [0; WORD];
            let count = (size_of::<T>() - index * WORD).min(WORD);
            // SAFETY: an element has `STRIDE` words at most, of which the last may be cut; plain values have no padding.
            unsafe { start.add(index * WORD).copy_to_nonoverlapping(word.as_mut_ptr(), count) };
            shared.store(u64::from_ne_bytes(word), Ordering::Relaxed);
        }
    }

    #[inline]
    pub fn read(&self, number: u32) -> T {
        let mut value = MaybeUninit::<T>::zeroed();
        let start = value.as_mut_ptr().cast::<u8>();
        if let Some(words) = self.element(number) {
            for (index, shared) in words.iter().enumerate() {
                let word = shared.load(Ordering::Relaxed).to_ne_bytes();
                let count = (size_of::<T>() - index * WORD).min(WORD);
                // SAFETY: as above.
                unsafe { start.add(index * WORD).copy_from_nonoverlapping(word.as_ptr(), count) };
            }
        }
        // SAFETY: every pattern of bits is a value.
        unsafe { value.assume_init() }
    }
}
