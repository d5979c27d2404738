//! Provides [`Kinds`] by passing each call on to its import. Texts are logged.

#![no_std]
#![forbid(unsafe_code)]

use bareflow_abi::{CallError, Out};
use kinds_interface::{Colour, Kinds, KindsError, Point};

bareflow_abi::module!(imports = { kinds: Kinds }, exports = [Kinds], provider = Relay);

impl Kinds for Relay<'_> {
    fn unsigned(&self, a: u8, b: u16, c: u32, d: u64) -> Result<u64, KindsError> {
        self.imports.kinds.unsigned(a, b, c, d)
    }

    fn signed(&self, a: i8, b: i16, c: i32, d: i64) -> Result<i64, KindsError> {
        self.imports.kinds.signed(a, b, c, d)
    }

    fn floats(&self, a: f32, b: f64) -> Result<f64, KindsError> {
        self.imports.kinds.floats(a, b)
    }

    fn not(&self, value: bool) -> Result<bool, KindsError> {
        self.imports.kinds.not(value)
    }

    fn upper(&self, letter: char) -> Result<char, KindsError> {
        self.imports.kinds.upper(letter)
    }

    fn next_colour(&self, colour: Colour) -> Result<Colour, KindsError> {
        self.imports.kinds.next_colour(colour)
    }

    fn letters(&mut self, text: &str) -> Result<u32, KindsError> {
        self.context.log(text);
        self.imports.kinds.letters(text)
    }

    fn sum(&mut self, bytes: &[u8], points: &[Point]) -> Result<i64, KindsError> {
        self.imports.kinds.sum(bytes, points)
    }

    fn weigh(&mut self, point: &Point, weights: &[u16; 3]) -> Result<i64, KindsError> {
        self.imports.kinds.weigh(point, weights)
    }

    fn count(&mut self, start: u32, words: &mut [u32]) -> Result<(), KindsError> {
        self.imports.kinds.count(start, words)
    }

    fn swap(&mut self, point: &mut Point) -> Result<(), KindsError> {
        self.imports.kinds.swap(point)
    }

    fn append(&mut self, text: &str, bytes: &mut Out<'_, u8>, points: &mut Out<'_, Point>) -> Result<u64, KindsError> {
        self.imports.kinds.append(text, bytes, points)
    }

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
    ) -> Result<u64, KindsError> {
        self.imports.kinds.eight(a, b, c, d, e, f, g, h)
    }

    fn fail(&mut self, number: u32) -> Result<(), KindsError> {
        self.imports.kinds.fail(number)
    }

    fn calls(&self) -> Result<u64, CallError> {
        self.imports.kinds.calls()
    }
}
