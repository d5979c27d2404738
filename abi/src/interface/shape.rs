//! The shape of a method: how each of its arguments crosses the border between two domains.

/// The maximum number of a method's arguments.
pub const MAX_ARGUMENTS: usize = 8;

/// The bits of an argument's kind.
const KIND_BITS: u32 = 3;

/// The bits of all kinds.
const KINDS: u32 = (1 << (MAX_ARGUMENTS as u32 * KIND_BITS)) - 1;

/// The bit of a method that no other call of the provider may overlap.
const EXCLUSIVE: u32 = 1 << 31;

/// The lowest bit of the number of words in a frame. Like the bits below, it is not in records: calls need it at once.
const WORDS: u32 = MAX_ARGUMENTS as u32 * KIND_BITS;

/// The bit of a method with arguments that lead to memory.
const HAS_PIECES: u32 = 1 << 29;

/// The bit of a method that appends.
const HAS_OUTS: u32 = 1 << 30;

/// The way in which an argument crosses.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgumentKind {
    /// A number, `bool`, `char` or enum: one word.
    Scalar = 1,
    /// A `&str`: address and length in bytes.
    Text = 2,
    /// A `&[T]` or a `&T`: address and length in bytes.
    Slice = 3,
    /// A `&mut [T]` or a `&mut T`: address and length in bytes.
    SliceMut = 4,
    /// An `Out<'_, T>`, to which the provider appends: address and room in bytes.
    Out = 5,
}

impl ArgumentKind {
    /// Returns the number of words that an argument of this kind takes in a frame.
    #[must_use]
    #[inline]
    pub const fn words(self) -> usize {
        if matches!(self, ArgumentKind::Scalar) { 1 } else { 2 }
    }

    /// Returns whether the provider may write what the argument leads to.
    #[must_use]
    #[inline]
    pub const fn is_written(self) -> bool {
        matches!(self, ArgumentKind::SliceMut | ArgumentKind::Out)
    }

    #[inline]
    const fn from_number(number: u32) -> Option<ArgumentKind> {
        Some(match number {
            1 => ArgumentKind::Scalar,
            2 => ArgumentKind::Text,
            3 => ArgumentKind::Slice,
            4 => ArgumentKind::SliceMut,
            5 => ArgumentKind::Out,
            _ => return None,
        })
    }
}

/// The kinds of a method's arguments, three bits each from the lowest on, and whether its calls are exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape(u32);

impl Shape {
    /// The shape of a method without arguments, whose calls may overlap; also that of a module's plain functions.
    pub const EMPTY: Shape = Shape(0);

    /// Creates a shape; `exclusive` if the method takes `&mut self`.
    ///
    /// # Panics
    /// If there are more than [`MAX_ARGUMENTS`].
    #[must_use]
    pub const fn new(exclusive: bool, kinds: &[ArgumentKind]) -> Shape {
        assert!(kinds.len() <= MAX_ARGUMENTS, "a method has at most 8 arguments");
        let (mut bits, mut index) = (if exclusive { EXCLUSIVE } else { 0 }, 0);
        while index < kinds.len() {
            bits |= (kinds[index] as u32) << (index as u32 * KIND_BITS);
            index += 1;
        }
        Shape::with_sums(bits)
    }

    /// Returns the shape with these bits of a record, which are valid.
    const fn with_sums(bits: u32) -> Shape {
        let (mut rest, mut sums) = (bits & KINDS, 0);
        while let Some(kind) = ArgumentKind::from_number(rest & 7) {
            sums += (kind.words() as u32) << WORDS;
            if !matches!(kind, ArgumentKind::Scalar) {
                sums |= HAS_PIECES;
            }
            if matches!(kind, ArgumentKind::Out) {
                sums |= HAS_OUTS;
            }
            rest >>= KIND_BITS;
        }
        Shape(bits | sums)
    }

    /// Returns the shape with these bits; `None` if no method has such a shape.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Option<Shape> {
        let mut rest = bits & KINDS;
        if bits & !(KINDS | EXCLUSIVE) != 0 {
            return None;
        }
        while rest != 0 {
            // A kind of 0 with others after it would hide these.
            if ArgumentKind::from_number(rest & 7).is_none() {
                return None;
            }
            rest >>= KIND_BITS;
        }
        Some(Shape::with_sums(bits))
    }

    /// Returns the bits, as they are in a record.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0 & (KINDS | EXCLUSIVE)
    }

    /// Returns whether any argument leads to memory.
    #[must_use]
    #[inline]
    pub const fn has_pieces(self) -> bool {
        self.0 & HAS_PIECES != 0
    }

    /// Returns whether the method appends.
    #[must_use]
    #[inline]
    pub const fn has_outs(self) -> bool {
        self.0 & HAS_OUTS != 0
    }

    /// Returns whether no other call of the provider may overlap: the method takes `&mut self`.
    #[must_use]
    #[inline]
    pub const fn is_exclusive(self) -> bool {
        self.0 & EXCLUSIVE != 0
    }

    /// Returns the kinds, in order.
    #[must_use]
    #[inline]
    pub const fn kinds(self) -> Kinds {
        Kinds(self.0 & KINDS)
    }

    /// Returns the number of words in a frame.
    #[must_use]
    #[inline]
    pub const fn words(self) -> usize {
        (self.0 >> WORDS & 0x1f) as usize
    }

    /// Returns the number of words in a reply's header: the value, and a length for each `Out`.
    #[must_use]
    #[inline]
    pub fn reply_words(self) -> usize {
        if !self.has_outs() {
            return 1;
        }
        // Of all kinds, that of an `Out` alone has both the lowest and the highest bit. Bits three apart are added in pairs,
        // and the sums, six apart, by a multiplication: far fewer instructions than a count of any bits.
        let outs = self.0 & (self.0 >> (KIND_BITS - 1)) & 0o1111_1111;
        let pairs = (outs + (outs >> KIND_BITS)) & 0o0303_0303;
        1 + (pairs.wrapping_mul(0o0101_0101) >> (6 * KIND_BITS) & 0o77) as usize
    }
}

/// An iterator over the kinds of a method's arguments.
#[derive(Clone, Copy, Debug)]
pub struct Kinds(u32);

impl Iterator for Kinds {
    type Item = ArgumentKind;

    #[inline]
    fn next(&mut self) -> Option<ArgumentKind> {
        let kind = ArgumentKind::from_number(self.0 & 7);
        self.0 >>= KIND_BITS;
        kind
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use ArgumentKind::{Out, Scalar, Slice, SliceMut, Text};
    use std::vec::Vec;

    #[test]
    fn reads_what_it_writes() {
        let kinds = [Text, Scalar, SliceMut, Out, Slice, Out, Scalar, Text];
        for count in 0..=MAX_ARGUMENTS {
            for exclusive in [false, true] {
                let shape = Shape::new(exclusive, &kinds[..count]);
                assert_eq!(Shape::from_bits(shape.bits()), Some(shape));
                assert_eq!(shape.kinds().collect::<Vec<_>>(), kinds[..count]);
                assert_eq!(shape.is_exclusive(), exclusive);
            }
            assert_eq!(Shape::new(true, &[Out; MAX_ARGUMENTS][..count]).reply_words(), 1 + count);
        }
        let shape = Shape::new(true, &kinds);
        assert_eq!((shape.words(), shape.reply_words()), (14, 3));
        assert_eq!((Shape::EMPTY.words(), Shape::EMPTY.reply_words()), (0, 1));
    }

    #[test]
    fn rejects_other_bits() {
        for bits in [6, 7, 1 << 24, 1 << 30, 0b001_000_001, 0b111_001] {
            assert_eq!(Shape::from_bits(bits), None, "{bits:#b}");
        }
    }
}
