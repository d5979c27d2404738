//! Decompresses an LZ4 block, compresses what was in it and decompresses it again.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use bareflow_abi::Context;
use lz4_flex::block::{compress_prepend_size, decompress_size_prepended};

bareflow_abi::module!(run);

/// The input is a length (4 bytes, little-endian) and a block of so many bytes. Writes them and returns their
/// number; -1 where it is no block, -2 where they differ on their way back.
pub fn run(context: &mut Context<'_>) -> i32 {
    let Ok(plain) = decompress_size_prepended(context.input()) else { return -1 };
    match decompress_size_prepended(&compress_prepend_size(&plain)) {
        Ok(again) if again == plain => context.write(&plain) as i32,
        _ => -2,
    }
}
