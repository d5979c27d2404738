//! Decompresses an LZ4 block, compresses its contents and decompresses them again.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use bareflow_abi::Context;
use lz4_flex::block::{compress_prepend_size, decompress_size_prepended};

bareflow_abi::module!(run);

/// Writes the block's contents, and returns their size.
///
/// The input is the decompressed size (4 bytes, little-endian) and a block. Returns -1 if the block is invalid, and -2
/// if the contents differ after the round trip.
pub fn run(context: &mut Context<'_>) -> i32 {
    let Ok(plain) = decompress_size_prepended(context.input()) else { return -1 };
    match decompress_size_prepended(&compress_prepend_size(&plain)) {
        Ok(again) if again == plain => context.write(&plain) as i32,
        _ => -2,
    }
}
