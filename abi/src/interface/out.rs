//! Room that a method appends to.

use super::plain::Plain;

/// Room of the caller's to which a method appends. What was in it before does not reach the provider.
///
/// ```
/// use bareflow_abi::Out;
///
/// let mut room = [0; 4];
/// let mut out = Out::new(&mut room);
/// assert!(out.push(1_u8));
/// assert_eq!(out.extend_from_slice(&[2, 3, 4, 5]), 3);
/// assert_eq!(out.written(), [1, 2, 3, 4]);
/// ```
///
/// After an `Err` of a method it is unspecified what it appended.
#[derive(Debug, PartialEq, Eq)]
pub struct Out<'room, T> {
    room: &'room mut [T],
    written: usize,
}

impl<'room, T: Plain> Out<'room, T> {
    /// Creates an `Out` with `room`, of which nothing is written.
    #[must_use]
    #[inline]
    pub const fn new(room: &'room mut [T]) -> Out<'room, T> {
        Out { room, written: 0 }
    }

    /// Appends a value. Returns whether there was room for it.
    #[inline]
    pub fn push(&mut self, value: T) -> bool {
        let Some(target) = self.room.get_mut(self.written) else { return false };
        *target = value;
        self.written += 1;
        true
    }

    /// Appends as many of `values` as fit. Returns their number.
    #[inline]
    pub fn extend_from_slice(&mut self, values: &[T]) -> usize {
        let room = self.unwritten();
        let count = values.len().min(room.len());
        room.iter_mut().zip(values).for_each(|(target, value)| *target = *value);
        self.written += count;
        count
    }

    /// Returns the number of values for which there is still room.
    #[must_use]
    #[inline]
    pub const fn remaining(&self) -> usize {
        self.room.len() - self.written
    }

    /// Returns what was appended.
    #[must_use]
    #[inline]
    pub fn written(&self) -> &[T] {
        self.room.get(..self.written).unwrap_or_default()
    }

    /// Returns what was appended, to be changed.
    #[must_use]
    #[inline]
    pub fn written_mut(&mut self) -> &mut [T] {
        self.room.get_mut(..self.written).unwrap_or_default()
    }

    /// Returns the size of what was appended, in bytes. For the macro.
    #[doc(hidden)]
    #[must_use]
    #[inline]
    pub const fn written_bytes(&self) -> u64 {
        (self.written * size_of::<T>()) as u64
    }

    /// Takes over what a provider wrote to the room, `bytes` of it. Returns whether that is possible. For the macro.
    #[doc(hidden)]
    #[must_use]
    #[inline]
    pub const fn advance(&mut self, bytes: u64) -> bool {
        let size = size_of::<T>() as u64;
        if !bytes.is_multiple_of(size) || bytes / size > self.remaining() as u64 {
            return false;
        }
        self.written += (bytes / size) as usize;
        true
    }

    /// Returns the room that is left.
    #[inline]
    pub(crate) fn unwritten(&mut self) -> &mut [T] {
        self.room.get_mut(self.written..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_no_more_than_there_is_room_for() {
        let mut room = [0_u32; 3];
        let mut out = Out::new(&mut room);
        assert_eq!((out.extend_from_slice(&[7]), out.remaining(), out.written_bytes()), (1, 2, 4));
        assert!(out.push(8) && out.push(9) && !out.push(10));
        assert_eq!(out.extend_from_slice(&[11]), 0);
        out.written_mut()[1] = 0;
        assert_eq!(out.written(), [7, 0, 9]);
    }

    #[test]
    fn believes_no_provider_that_wrote_more_or_half_a_value() {
        let mut room = [1_u32, 2, 3];
        let mut out = Out::new(&mut room);
        assert!(out.push(4));
        for bytes in [1, 7, 12, u64::MAX, u64::MAX - 3] {
            assert!(!out.advance(bytes), "{bytes}");
        }
        assert!(out.advance(0) && out.advance(8) && !out.advance(4));
        assert_eq!(out.written(), [4, 2, 3]);
    }
}
