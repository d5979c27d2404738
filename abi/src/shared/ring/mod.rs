//! A ring of elements with one producer and one consumer, of which each may be hostile to the other.
//!
//! `memory` is what both share, and `side` what each of them knows of it.

mod memory;
mod side;
#[cfg(test)]
mod tests;

use core::fmt;

use super::bytes::SharedBytes;
use crate::interface::Plain;
pub use memory::ring_bytes;
use memory::{POPPED, PUSHED};
use side::Side;

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
        self.0.memory.capacity()
    }

    /// Pushes an element.
    ///
    /// # Errors
    /// [`RingError::Full`], [`RingError::BadIndex`].
    #[inline]
    pub fn push(&mut self, value: T) -> Result<(), RingError> {
        let side = &mut self.0;
        let mut unread = side.own.wrapping_sub(side.cached);
        if unread >= side.memory.capacity() {
            // The consumer can have popped no more than was pushed.
            side.refresh(unread)?;
            unread = side.own.wrapping_sub(side.cached);
            if unread >= side.memory.capacity() {
                return Err(RingError::Full);
            }
        }
        side.memory.write(side.own, value);
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
        self.0.memory.capacity()
    }

    /// Pops the oldest element; `None` if there is none.
    ///
    /// # Errors
    /// [`RingError::BadIndex`].
    #[inline]
    pub fn pop(&mut self) -> Result<Option<T>, RingError> {
        let side = &mut self.0;
        if side.own == side.cached {
            // The producer can have pushed no more than there was room for.
            side.refresh(side.memory.capacity())?;
            if side.own == side.cached {
                return Ok(None);
            }
        }
        let value = side.memory.read(side.own);
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
