//! The linear memory of a blob.

use bareflow_abi::memory::{MEMORY_NEEDS_WINDOW, MemoryRecord};
use bareflow_abi::record::MEMORY;
use bareflow_loader::RawModule;
use bareflow_loader::records::first_record;
use serde::Serialize;

use crate::say;

/// A linear memory.
#[derive(Debug, Serialize)]
pub(super) struct LinearMemory {
    initial_pages: u32,
    maximum_pages: u32,
    /// Whether the code relies on a window.
    window: bool,
}

/// Returns the linear memory of a module, if it has one.
pub(super) fn memory(raw: RawModule<'_>) -> Option<LinearMemory> {
    let record = MemoryRecord::from_bytes(first_record(raw.records, MEMORY).try_into().ok()?);
    let MemoryRecord { words: _, initial_pages, maximum_pages, flags } = record;
    Some(LinearMemory { initial_pages, maximum_pages, window: flags & MEMORY_NEEDS_WINDOW != 0 })
}

pub(super) fn show(memory: Option<&LinearMemory>) {
    let Some(LinearMemory { initial_pages, maximum_pages, window }) = memory else { return };
    let bounds = if *window { "a window" } else { "checks in the code" };
    say!("\nLinear memory: {initial_pages} pages of 64 KiB, at most {maximum_pages}; bounds by {bounds}");
}
