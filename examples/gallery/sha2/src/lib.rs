//! The SHA-256 hash of the input.

#![no_std]
#![forbid(unsafe_code)]

use bareflow_abi::Context;
use sha2::{Digest, Sha256};

bareflow_abi::module!(run);

/// Writes the hash of 32 bytes, and returns the number of bytes that there was room for.
pub fn run(context: &mut Context<'_>) -> i32 {
    let hash = Sha256::digest(context.input());
    context.write(&hash) as i32
}
