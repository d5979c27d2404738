//! The places of what is added to the runner's data.

use alloc::format;

use bareflow_abi::layout::align_up;
use bareflow_abi::memory::MAX_MEMORY_PAGES;
use bareflow_engine::{Options, PAGE_BYTES, WINDOW};
use bareflow_portable::MAX_PAGES_IN_BSS;

use crate::module::Module;
use crate::refusal::Refusal;
use crate::runner::Parts;

/// The alignment of the instance, in bytes.
const INSTANCE_ALIGNMENT: u64 = 16;

/// The alignment of the memory, in bytes: that of a page of the processor, which is the most that a segment has.
pub const MEMORY_ALIGNMENT: u64 = 4096;

/// The places of the added parts in the data segment.
pub struct Places {
    /// The offset of the instance.
    pub instance: u64,
    /// The linear memory.
    pub memory: Memory,
    /// The end of all.
    pub end: u64,
}

/// The linear memory, by the pages that it has at first, and the most that it may have.
#[derive(Clone, Copy)]
pub enum Memory {
    /// There is none.
    None,
    /// Memory in the data segment.
    InData { offset: u64, initial: u64, pages: u64 },
    /// Memory in a window of addresses of its own.
    InWindow { initial: u64, pages: u64 },
}

impl Places {
    /// Places an instance of so many bytes, and the memory, behind the runner's own data.
    ///
    /// # Errors
    /// If the memory has more pages at first than the options permit.
    pub fn new(
        module: &Module<'_>,
        options: &Options,
        runner: &Parts<'_>,
        instance_bytes: u64,
    ) -> Result<Places, Refusal> {
        let instance = align_up(runner.data_and_bss(), INSTANCE_ALIGNMENT).unwrap_or(u64::MAX);
        let end = instance.saturating_add(instance_bytes);
        let Some((initial, maximum)) = module.memory else { return Ok(Places { instance, memory: Memory::None, end }) };
        let in_window = options.bounds == WINDOW;
        let most = if in_window { MAX_MEMORY_PAGES } else { MAX_PAGES_IN_BSS };
        let pages = maximum.unwrap_or(u64::MAX).min(options.maximum_pages.min(most).into());
        if initial > pages {
            let text = format!("the memory has {initial} pages at first, expected at most {pages}; allow more pages");
            return Err(Refusal::too_large(text));
        }
        if in_window {
            return Ok(Places { instance, memory: Memory::InWindow { initial, pages }, end });
        }
        let offset = align_up(end, MEMORY_ALIGNMENT).unwrap_or(u64::MAX);
        let end = offset.saturating_add(pages * PAGE_BYTES);
        Ok(Places { instance, memory: Memory::InData { offset, initial, pages }, end })
    }
}

impl Memory {
    /// Returns whether the word with its address is a fix-up.
    pub const fn has_fixup(self) -> bool {
        matches!(self, Memory::InData { .. })
    }

    /// Returns whether the module asks the loader for pages.
    pub const fn can_grow(self) -> bool {
        matches!(self, Memory::InWindow { initial, pages } if pages > initial)
    }

    /// Returns what the runner has to know: the offset in the data, and the most pages.
    pub const fn attached(self) -> (u32, u32) {
        match self {
            Memory::None => (0, 0),
            Memory::InData { offset, pages, .. } => (offset as u32, pages as u32),
            Memory::InWindow { pages, .. } => (0, pages as u32),
        }
    }
}
