//! The SHA-256 of the input.

#![no_std]
#![forbid(unsafe_code)]

use bareflow_abi::Context;
use sha2::{Digest, Sha256};

bareflow_abi::module!(hash);

/// Writes the hash's 32 bytes, and returns how many there was room for.
pub fn hash(context: &mut Context<'_>) -> i32 {
    let hash = Sha256::digest(context.input());
    context.write(&hash) as i32
}
