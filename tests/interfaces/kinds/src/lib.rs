//! An interface with arguments of every kind, for tests.

#![no_std]
#![forbid(unsafe_code)]

use bareflow_abi::{CallError, Failure, Out, Plain, Scalar, interface};

/// Methods with arguments of every kind.
#[interface(version = "1.2")]
pub trait Kinds {
    /// Returns the sum.
    fn unsigned(&self, a: u8, b: u16, c: u32, d: u64) -> Result<u64, KindsError>;

    /// Returns the sum.
    fn signed(&self, a: i8, b: i16, c: i32, d: i64) -> Result<i64, KindsError>;

    /// Returns the sum.
    fn floats(&self, a: f32, b: f64) -> Result<f64, KindsError>;

    /// Returns the opposite.
    fn not(&self, value: bool) -> Result<bool, KindsError>;

    /// Returns the letter in upper case.
    fn upper(&self, letter: char) -> Result<char, KindsError>;

    /// Returns the colour after this.
    fn next_colour(&self, colour: Colour) -> Result<Colour, KindsError>;

    /// Returns the number of letters.
    fn letters(&mut self, text: &str) -> Result<u32, KindsError>;

    /// Returns the sum of all bytes and coordinates.
    fn sum(&mut self, bytes: &[u8], points: &[Point]) -> Result<i64, KindsError>;

    /// Returns the sum of all coordinates and weights.
    fn weigh(&mut self, point: &Point, weights: &[u16; 3]) -> Result<i64, KindsError>;

    /// Counts from `start` in `words`.
    fn count(&mut self, start: u32, words: &mut [u32]) -> Result<(), KindsError>;

    /// Swaps the coordinates.
    fn swap(&mut self, point: &mut Point) -> Result<(), KindsError>;

    /// Appends `text` to `bytes`, and a point for each of its letters to `points`. Returns the number of bytes.
    fn append(&mut self, text: &str, bytes: &mut Out<'_, u8>, points: &mut Out<'_, Point>) -> Result<u64, KindsError>;

    /// Returns the sum of the lengths in bytes.
    #[allow(clippy::too_many_arguments)]
    fn eight(
        &mut self,
        a: &str,
        b: &[u8],
        c: &[u16],
        d: &mut [u32],
        e: &mut [u64],
        f: &mut Out<'_, u8>,
        g: &mut Out<'_, i16>,
        h: &Point,
    ) -> Result<u64, KindsError>;

    /// Fails with this error; 0 for none.
    fn fail(&mut self, number: u32) -> Result<(), KindsError>;

    /// Returns the number of calls of methods that take `&mut self`.
    fn calls(&self) -> Result<u64, CallError>;

    /// Returns 7: a provider need not implement it.
    fn seven(&self) -> Result<u8, CallError> {
        Ok(7)
    }
}

/// A point.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Plain)]
pub struct Point {
    /// To the right.
    pub x: i32,
    /// Down.
    pub y: i32,
    /// Bits of any meaning.
    pub marks: [Mark; 2],
}

/// A mark of a point.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Plain)]
pub struct Mark {
    /// Bits.
    pub bits: u32,
}

/// A colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Scalar)]
pub enum Colour {
    /// Red.
    Red = 1,
    /// Green.
    Green = -7,
    /// Blue.
    Blue,
}

/// An error of [`Kinds`].
#[repr(u16)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Failure)]
pub enum KindsError {
    /// Number 1.
    First,
    /// Number 200.
    Middle = 200,
    /// Number 255.
    Last = 255,
    /// The call gave no answer.
    #[call_error]
    Call(CallError),
}
