//! An interface whose calls do next to nothing, to measure them.

#![no_std]
#![forbid(unsafe_code)]

use bareflow_abi::{CallError, Out, interface};

/// Calls that do next to nothing.
#[interface(version = "1.0")]
pub trait Meter {
    /// Returns the sum.
    fn add(&mut self, a: u64, b: u64) -> Result<u64, CallError>;

    /// Returns the length.
    fn one(&mut self, bytes: &[u8]) -> Result<u64, CallError>;

    /// Returns the sum of the lengths.
    fn two(&mut self, first: &[u8], second: &[u8]) -> Result<u64, CallError>;

    /// Fills what is left of the room.
    fn fill(&mut self, room: &mut Out<'_, u8>) -> Result<(), CallError>;
}

/// An implementation without state.
#[derive(Debug)]
pub struct Plain;

/// The bytes that [`Plain`] fills rooms with.
static PATTERN: [u8; 65_536] = [7; 65_536];

impl Meter for Plain {
    fn add(&mut self, a: u64, b: u64) -> Result<u64, CallError> {
        Ok(a.wrapping_add(b))
    }

    fn one(&mut self, bytes: &[u8]) -> Result<u64, CallError> {
        Ok(bytes.len() as u64)
    }

    fn two(&mut self, first: &[u8], second: &[u8]) -> Result<u64, CallError> {
        Ok((first.len() + second.len()) as u64)
    }

    fn fill(&mut self, room: &mut Out<'_, u8>) -> Result<(), CallError> {
        room.extend_from_slice(&PATTERN[..room.remaining().min(PATTERN.len())]);
        Ok(())
    }
}
