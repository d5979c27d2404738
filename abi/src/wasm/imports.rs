//! The functions that the engine provides, as [`portable::IMPORTS`](crate::portable::IMPORTS) lists them.
//!
//! An engine checks all offsets and lengths: a bad one is a trap.

/// The reply of [`call`].
#[repr(C)]
#[derive(Default)]
pub(super) struct CallReply {
    pub output_length: u32,
    pub result: i32,
}

#[link(wasm_import_module = "bareflow")]
unsafe extern "C" {
    pub(super) safe fn input_length() -> usize;
    pub(super) fn input_read(offset: usize, to: *mut u8, length: usize) -> usize;
    pub(super) fn output_write(from: *const u8, length: usize) -> usize;
    pub(super) fn argument_read(argument: usize, offset: usize, to: *mut u8, length: usize) -> usize;
    pub(super) fn argument_write(argument: usize, offset: usize, from: *const u8, length: usize) -> usize;
    pub(super) fn panic(message: *const u8, length: usize, file: *const u8, file_length: usize, line: u32) -> !;
    pub(super) safe fn out_of_heap() -> !;
    pub(super) fn log(text: *const u8, length: usize);
    pub(super) safe fn clock() -> u64;
    pub(super) fn call(
        name: *const u8,
        name_length: usize,
        input: *const u8,
        input_length: usize,
        output: *mut u8,
        output_capacity: usize,
        reply: *mut CallReply,
    ) -> u32;
    pub(super) fn invoke(import_and_method: u64, words: *mut u64, reply: *mut u64) -> u32;
}
