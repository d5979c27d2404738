//! A ring of elements with one producer and one consumer, of which each may be hostile to the other.
//!
//! Layout, in bytes from a multiple of 8 on: the number of elements that were ever pushed (`u32`, wrapping) at 0, of those
//! that were ever popped at 64, and from 128 on the elements, each in whole words of 8 bytes, of which there are as many
//! as the largest power of two that fits.

use core::fmt;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::bytes::SharedBytes;
use crate::interface::Plain;

const PUSHED: usize = 0;
const POPPED: usize = 64;
const ELEMENTS: usize = 128;
const WORD: usize = 8;

/// The largest number of elements: half of what the indices count.
const MAX_CAPACITY: usize = 1 << 31;

/// An error of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RingError {
    /// The memory is too small for an element, or not aligned.
    TooSmall,
    /// There is no room for an element.
    Full,
    /// The other side's index lies: it says more than there can be, or runs backwards. It stays so until that is mended.
    BadIndex,
}

impl fmt::Display for RingError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            RingError::TooSmall => "the ring's memory is too small or not aligned",
            RingError::Full => "the ring is full",
            RingError::BadIndex => "the ring's other side has an index that lies",
        })
    }
}

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
struct Slots<'memory, T> {
    own: &'memory AtomicU32,
    other: &'memory AtomicU32,
    words: &'memory [AtomicU64],
    /// The number of elements, a power of two, less one.
    mask: u32,
    elements: PhantomData<T>,
}

impl<'memory, T: Plain> Slots<'memory, T> {
    const STRIDE: usize = stride::<T>();

    /// Returns the ring in `bytes`, with its indices at `own` and `other`.
    fn new(bytes: SharedBytes<'memory>, own: usize, other: usize) -> Result<Self, RingError> {
        let behind = bytes.len().checked_sub(ELEMENTS).ok_or(RingError::TooSmall)?;
        let (start, words, _) = bytes.part(ELEMENTS, behind).ok_or(RingError::TooSmall)?.words();
        let fitting = (words.len() / Self::STRIDE).min(MAX_CAPACITY);
        let capacity_log2 = fitting.checked_ilog2().filter(|_| start.is_empty()).ok_or(RingError::TooSmall)?;
        let index = |offset| bytes.atomic_u32(offset).ok_or(RingError::TooSmall);
        let mask = ((1_u64 << capacity_log2) - 1) as u32;
        Ok(Slots { own: index(own)?, other: index(other)?, words, mask, elements: PhantomData })
    }

    const fn capacity(&self) -> u32 {
        self.mask + 1
    }

    /// Returns the words of the element with this number: always some, since a masked number is that of an element.
    #[inline]
    fn slot(&self, number: u32) -> Option<&'memory [AtomicU64]> {
        let first = (number & self.mask) as usize * Self::STRIDE;
        self.words.get(first..first + Self::STRIDE)
    }

    #[inline]
    fn write(&self, number: u32, value: T) {
        let start = (&raw const value).cast::<u8>();
        let Some(slots) = self.slot(number) else { return };
        for (index, slot) in slots.iter().enumerate() {
            let mut word = [0; WORD];
            let count = (size_of::<T>() - index * WORD).min(WORD);
            // SAFETY: an element has `STRIDE` words at most, of which the last may be cut; plain values have no padding.
            unsafe { start.add(index * WORD).copy_to_nonoverlapping(word.as_mut_ptr(), count) };
            slot.store(u64::from_ne_bytes(word), Ordering::Relaxed);
        }
    }

    #[inline]
    fn read(&self, number: u32) -> T {
        let mut value = MaybeUninit::<T>::zeroed();
        let start = value.as_mut_ptr().cast::<u8>();
        if let Some(slots) = self.slot(number) {
            for (index, slot) in slots.iter().enumerate() {
                let word = slot.load(Ordering::Relaxed).to_ne_bytes();
                let count = (size_of::<T>() - index * WORD).min(WORD);
                // SAFETY: as above.
                unsafe { start.add(index * WORD).copy_from_nonoverlapping(word.as_ptr(), count) };
            }
        }
        // SAFETY: every pattern of bits is a value.
        unsafe { value.assume_init() }
    }
}

/// One side of a ring: its own index, which it never reads from memory that the other side can write, and the other's as
/// it was seen last.
struct Side<'memory, T> {
    slots: Slots<'memory, T>,
    own: u32,
    seen: u32,
}

impl<'memory, T: Plain> Side<'memory, T> {
    fn new(bytes: SharedBytes<'memory>, position: u64, (own, other): (usize, usize)) -> Result<Self, RingError> {
        let slots = Slots::new(bytes, own, other)?;
        Ok(Side { slots, own: position as u32, seen: (position >> 32) as u32 })
    }

    const fn position(&self) -> u64 {
        self.own as u64 | (self.seen as u64) << 32
    }

    /// Looks at the other side's index, which may be at most `reach` ahead of the one that was seen.
    #[cold]
    #[inline(never)]
    fn look(&mut self, reach: u32) -> Result<(), RingError> {
        let now = self.slots.other.load(Ordering::Acquire);
        if now.wrapping_sub(self.seen) > reach {
            return Err(RingError::BadIndex);
        }
        self.seen = now;
        Ok(())
    }

    /// Makes the next element the other side's.
    #[inline]
    fn advance(&mut self) {
        self.own = self.own.wrapping_add(1);
        self.slots.own.store(self.own, Ordering::Release);
    }
}

/// The producer's side of a ring.
///
/// ```
/// use bareflow_abi::shared::{Consumer, Producer, RingError, SharedBytes, ring_bytes};
///
/// #[repr(align(8))]
/// struct Memory([u8; ring_bytes::<u64>(4)]);
/// let mut memory = Memory([0; _]);
/// let bytes = SharedBytes::new(&mut memory.0);
/// let mut producer = Producer::new(bytes, 0).unwrap();
/// let mut consumer = Consumer::new(bytes, 0).unwrap();
/// for number in 1..=4_u64 {
///     producer.push(number).unwrap();
/// }
/// assert_eq!(producer.push(5), Err(RingError::Full));
/// assert_eq!((consumer.pop(), consumer.pop()), (Ok(Some(1)), Ok(Some(2))));
/// producer.push(5).unwrap();
/// ```
pub struct Producer<'memory, T>(Side<'memory, T>);

impl<'memory, T: Plain> Producer<'memory, T> {
    /// Returns the producer's side of the ring in `bytes`, which are zeros at first.
    ///
    /// `position` is 0 at first, and then what [`position`](Self::position) returned last: keep it in the module's state.
    ///
    /// # Errors
    /// [`RingError::TooSmall`].
    pub fn new(bytes: SharedBytes<'memory>, position: u64) -> Result<Self, RingError> {
        Side::new(bytes, position, (PUSHED, POPPED)).map(Producer)
    }

    /// Returns the position, which says what was pushed and what was seen to be popped.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.0.position()
    }

    /// Returns the number of elements that the ring holds at most.
    #[must_use]
    pub const fn capacity(&self) -> u32 {
        self.0.slots.capacity()
    }

    /// Pushes an element.
    ///
    /// # Errors
    /// [`RingError::Full`], [`RingError::BadIndex`].
    #[inline]
    pub fn push(&mut self, value: T) -> Result<(), RingError> {
        let side = &mut self.0;
        let mut unread = side.own.wrapping_sub(side.seen);
        if unread >= side.slots.capacity() {
            // The consumer can have popped no more than was pushed.
            side.look(unread)?;
            unread = side.own.wrapping_sub(side.seen);
            if unread >= side.slots.capacity() {
                return Err(RingError::Full);
            }
        }
        side.slots.write(side.own, value);
        side.advance();
        Ok(())
    }
}

/// The consumer's side of a ring.
pub struct Consumer<'memory, T>(Side<'memory, T>);

impl<'memory, T: Plain> Consumer<'memory, T> {
    /// Returns the consumer's side of the ring in `bytes`; see [`Producer::new`].
    ///
    /// # Errors
    /// [`RingError::TooSmall`].
    pub fn new(bytes: SharedBytes<'memory>, position: u64) -> Result<Self, RingError> {
        Side::new(bytes, position, (POPPED, PUSHED)).map(Consumer)
    }

    /// Returns the position, which says what was popped and what was seen to be pushed.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.0.position()
    }

    /// Returns the number of elements that the ring holds at most.
    #[must_use]
    pub const fn capacity(&self) -> u32 {
        self.0.slots.capacity()
    }

    /// Pops the oldest element; `None` if there is none.
    ///
    /// # Errors
    /// [`RingError::BadIndex`].
    #[inline]
    pub fn pop(&mut self) -> Result<Option<T>, RingError> {
        let side = &mut self.0;
        if side.own == side.seen {
            // The producer can have pushed no more than there was room for.
            side.look(side.slots.capacity())?;
            if side.own == side.seen {
                return Ok(None);
            }
        }
        let value = side.slots.read(side.own);
        side.advance();
        Ok(Some(value))
    }
}

impl<T> fmt::Debug for Producer<'_, T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Producer").field("pushed", &self.0.own).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Consumer<'_, T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Consumer").field("popped", &self.0.own).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "ring_tests.rs"]
mod tests;
