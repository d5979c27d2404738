//! Inflates a gzip file, deflates what was in it and inflates it back.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use bareflow_abi::Context;
use miniz_oxide::deflate::compress_to_vec;
use miniz_oxide::inflate::decompress_to_vec;

bareflow_abi::module!(run);

/// Bytes of a gzip file's header where it has no name and no comment.
const HEADER: usize = 10;

/// Bytes of checksum and length behind the deflated ones.
const TRAILER: usize = 8;

/// Writes what is in the file and returns its length; -1 where there is none, -2 where it differs on its way back.
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
