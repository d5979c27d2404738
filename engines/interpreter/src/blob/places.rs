//! The places of what is added to the runner's data.

use alloc::format;

use bareflow_abi::layout::align_up;
use bareflow_abi::memory::{MAX_MEMORY_PAGES, MEMORY_PAGE_SIZE};
use bareflow_engine::{Options, WINDOW};
use bareflow_portable::MAX_PAGES_IN_BSS;
use bareflow_portable::refusal::Refusal;

use crate::module::Module;
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
    pub memory: MemoryPlacement,
    /// The end of all.
    pub end: u64,
}

/// The place of linear memory, by the pages that it has at first, and the most that it may have.
#[derive(Clone, Copy)]
pub enum MemoryPlacement {
    /// There is none.
    None,
    /// Memory in the bss, at this offset in the data.
    Bss { offset: u64, initial_pages: u64, maximum_pages: u64 },
    /// Memory in a window of addresses of its own.
    Window { initial_pages: u64, maximum_pages: u64 },
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
        let Some(memory) = module.sections.memory else {
            return Ok(Places { instance, memory: MemoryPlacement::None, end });
        };
        let initial_pages = memory.initial_pages;
        let in_window = options.bounds == WINDOW;
        let most = if in_window { MAX_MEMORY_PAGES } else { MAX_PAGES_IN_BSS };
        let maximum_pages = memory.maximum_pages.unwrap_or(u64::MAX).min(options.maximum_pages.min(most).into());
        if initial_pages > maximum_pages {
            return Err(Refusal::too_large(format!(
                "the memory has {initial_pages} pages at first, expected at most {maximum_pages}; allow more pages"
            )));
        }
        if in_window {
            return Ok(Places { instance, memory: MemoryPlacement::Window { initial_pages, maximum_pages }, end });
        }
        let offset = align_up(end, MEMORY_ALIGNMENT).unwrap_or(u64::MAX);
        let end = offset.saturating_add(maximum_pages * MEMORY_PAGE_SIZE);
        Ok(Places { instance, memory: MemoryPlacement::Bss { offset, initial_pages, maximum_pages }, end })
    }
}

impl MemoryPlacement {
    /// Returns whether the word with its address is a fix-up.
    pub const fn has_fixup(self) -> bool {
        matches!(self, MemoryPlacement::Bss { .. })
    }

    /// Returns whether the module asks the loader for pages.
    pub const fn can_grow(self) -> bool {
        matches!(self, MemoryPlacement::Window { initial_pages, maximum_pages } if maximum_pages > initial_pages)
    }

    /// Returns what the runner has to know: the offset in the data, and the most pages.
    pub const fn attached(self) -> (u32, u32) {
        match self {
            MemoryPlacement::None => (0, 0),
            MemoryPlacement::Bss { offset, maximum_pages, .. } => (offset as u32, maximum_pages as u32),
            MemoryPlacement::Window { maximum_pages, .. } => (0, maximum_pages as u32),
        }
    }
}
