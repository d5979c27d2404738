//! The heap that the runner needs for a module.

use crate::module::Module;

/// The bytes that the runner takes for any module: the stacks of nested calls.
const BASE: usize = 1 << 20;

/// The bytes that it takes for each byte of code: a copy until a function's first call, and then its translation.
const FOR_CODE_BYTE: usize = 8;

/// Returns the size of the heap, in bytes.
#[must_use]
pub fn heap_bytes(module: &Module<'_>) -> u32 {
    let bytes = BASE + module.wasm.len() * FOR_CODE_BYTE;
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
