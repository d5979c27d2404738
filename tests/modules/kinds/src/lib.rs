//! Provides [`Kinds`], with a state, and a function without an interface.

#![no_std]
#![forbid(unsafe_code)]

use bareflow_abi::{CallError, Out};
use kinds_interface::{Colour, Kinds, KindsError, Point};

bareflow_abi::state! {
    /// The state that survives a reload.
    pub struct Count {
        /// The number of calls of methods that take `&mut self`.
        pub calls: u64 = 0,
    }
}

bareflow_abi::module!(state = Count, exports = [Kinds, reset]);

/// Sets the number of calls to 0. Returns what it was.
pub fn reset(_: &mut bareflow_abi::Context<'_>, count: &mut Count) -> i32 {
    i32::try_from(core::mem::take(&mut count.calls)).unwrap_or(i32::MAX)
}

/// The number at which [`Kinds::fail`] panics instead.
pub const PANIC: u32 = 1000;

/// The number at which [`Kinds::fail`] does not return.
pub const SPIN: u32 = 1001;

impl Kinds for Count {
    fn unsigned(&self, a: u8, b: u16, c: u32, d: u64) -> Result<u64, KindsError> {
        Ok(d.wrapping_add(u64::from(a) + u64::from(b) + u64::from(c)))
    }

    fn signed(&self, a: i8, b: i16, c: i32, d: i64) -> Result<i64, KindsError> {
        Ok(d.wrapping_add(i64::from(a) + i64::from(b) + i64::from(c)))
    }

    fn floats(&self, a: f32, b: f64) -> Result<f64, KindsError> {
        Ok(f64::from(a) + b)
    }

    fn not(&self, value: bool) -> Result<bool, KindsError> {
        Ok(!value)
    }

    fn upper(&self, letter: char) -> Result<char, KindsError> {
        Ok(letter.to_ascii_uppercase())
    }

    fn next_colour(&self, colour: Colour) -> Result<Colour, KindsError> {
        Ok(match colour {
            Colour::Red => Colour::Green,
            Colour::Green => Colour::Blue,
            Colour::Blue => Colour::Red,
        })
    }

    fn letters(&mut self, text: &str) -> Result<u32, KindsError> {
        self.calls += 1;
        Ok(text.chars().count() as u32)
    }

    fn sum(&mut self, bytes: &[u8], points: &[Point]) -> Result<i64, KindsError> {
        self.calls += 1;
        let points = points.iter().map(|point| i64::from(point.x) + i64::from(point.y));
        Ok(bytes.iter().copied().map(i64::from).chain(points).sum())
    }

    fn weigh(&mut self, point: &Point, weights: &[u16; 3]) -> Result<i64, KindsError> {
        self.calls += 1;
        let weights = weights.iter().copied().map(i64::from).sum::<i64>();
        let marks = point.marks.iter().map(|mark| i64::from(mark.bits)).sum::<i64>();
        Ok(weights + i64::from(point.x) + i64::from(point.y) + marks)
    }

    fn count(&mut self, start: u32, words: &mut [u32]) -> Result<(), KindsError> {
        self.calls += 1;
        words.iter_mut().zip(start..).for_each(|(word, number)| *word = number);
        Ok(())
    }

    fn swap(&mut self, point: &mut Point) -> Result<(), KindsError> {
        self.calls += 1;
        (point.x, point.y) = (point.y, point.x);
        Ok(())
    }

    fn append(&mut self, text: &str, bytes: &mut Out<'_, u8>, points: &mut Out<'_, Point>) -> Result<u64, KindsError> {
        self.calls += 1;
        for letter in text.chars() {
            points.push(Point { x: letter as i32, ..Point::default() });
        }
        Ok(bytes.extend_from_slice(text.as_bytes()) as u64)
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
        self.calls += 1;
        d.fill(h.x as u32);
        e.fill(h.y as u64);
        f.extend_from_slice(b);
        g.push(c.len() as i16);
        Ok((a.len() + b.len() + size_of_val(c) + size_of_val(d) + size_of_val(e)) as u64)
    }

    fn fail(&mut self, number: u32) -> Result<(), KindsError> {
        self.calls += 1;
        match number {
            0 => Ok(()),
            1 => Err(KindsError::First),
            200 => Err(KindsError::Middle),
            255 => Err(KindsError::Last),
            PANIC => panic!("asked to"),
            SPIN => loop {
                core::hint::spin_loop();
            },
            number => Err(CallError::from_number(number ^ 256).unwrap_or(CallError::BadArgument).into()),
        }
    }

    fn calls(&self) -> Result<u64, CallError> {
        Ok(self.calls)
    }
}
