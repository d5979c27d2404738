//! The interface `random`: random numbers that no one can predict, for keys and seeds.
//!
//! BareFlow's kernel provides it by the processor's generator, and does not provide it where there is none; a process
//! provides it by the system's.

#![no_std]
#![forbid(unsafe_code)]

use bareflow_abi::{CallError, Failure, Out, interface};

/// A source of random numbers.
#[interface(version = "1.0")]
pub trait Random {
    /// Fills the room in `bytes` with random bytes.
    fn fill(&self, bytes: &mut Out<'_, u8>) -> Result<(), RandomError>;

    /// Returns a random number.
    fn next_u64(&self) -> Result<u64, RandomError> {
        let mut bytes = [0; 8];
        self.fill(&mut Out::new(&mut bytes))?;
        Ok(u64::from_le_bytes(bytes))
    }
}

/// An error of random numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Failure)]
pub enum RandomError {
    /// The source gave no number, or failed its check.
    Unavailable,
    /// The call gave no answer.
    #[call_error]
    Call(CallError),
}
