//! Inflates a gzip file, deflates its contents and inflates them again.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use bareflow_abi::Context;
use miniz_oxide::deflate::compress_to_vec;
use miniz_oxide::inflate::decompress_to_vec;

bareflow_abi::module!(run);

/// The size of a gzip header without name and comment, in bytes.
const HEADER: usize = 10;

/// The size of the checksum and the length after the deflated data, in bytes.
const TRAILER: usize = 8;

/// Writes the file's contents, and returns their size; -1 if the file is invalid, and -2 if they differ after the round
/// trip.
pub fn run(context: &mut Context<'_>) -> i32 {
    let input = context.input();
    let deflated =
        input.get(HEADER..input.len().saturating_sub(TRAILER)).filter(|_| input.starts_with(&[0x1f, 0x8b, 8, 0]));
    let Some(inflated) = deflated.and_then(|bytes| decompress_to_vec(bytes).ok()) else { return -1 };
    if decompress_to_vec(&compress_to_vec(&inflated, 6)).ok().as_ref() != Some(&inflated) {
        return -2;
    }
    context.write(&inflated) as i32
}
