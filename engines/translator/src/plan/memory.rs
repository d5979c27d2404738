//! The place of linear memory.

use alloc::format;

use bareflow_abi::layout::MAX_ALIGNMENT;
use bareflow_abi::memory::MAX_MEMORY_PAGES;
use bareflow_portable::MAX_PAGES_IN_BSS;
use bareflow_portable::refusal::Refusal;

use crate::module::Module;
use crate::options::{Bounds, Options};

/// The place of linear memory.
#[derive(Clone, Copy)]
pub(crate) enum MemoryPlacement {
    /// There is none.
    None,
    /// In the bss, at this offset from the data, with room for so many pages.
    Bss { offset: u32, room_pages: u32 },
    /// In a window, whose address the loader writes into the context.
    Window { initial_pages: u32, maximum_pages: u32 },
}

impl MemoryPlacement {
    /// Chooses the place, which in the bss comes after `data_bytes` of other data.
    pub fn new(module: &Module<'_>, options: &Options, data_bytes: u32) -> Result<MemoryPlacement, Refusal> {
        let Some(memory) = &module.sections.memory else { return Ok(MemoryPlacement::None) };
        let limit = u64::from(options.maximum_pages);
        if memory.initial_pages > limit {
            return Err(Refusal::too_large(format!(
                "the memory has {} pages at first, expected at most {limit}; raise the option maximum_pages",
                memory.initial_pages
            )));
        }
        let most = memory.maximum_pages.unwrap_or(u64::MAX).min(limit).min(MAX_MEMORY_PAGES.into());
        let most = if module.grows_memory { most } else { memory.initial_pages };
        if options.bounds == Bounds::Window {
            return Ok(MemoryPlacement::Window {
                initial_pages: memory.initial_pages as u32,
                maximum_pages: most as u32,
            });
        }
        let most = most.min(u64::from(MAX_PAGES_IN_BSS));
        if memory.initial_pages > most {
            return Err(Refusal::too_large(format!(
                "the memory has {} pages at first, expected at most {most} without a window",
                memory.initial_pages
            )));
        }
        Ok(MemoryPlacement::Bss { offset: data_bytes.next_multiple_of(MAX_ALIGNMENT), room_pages: most as u32 })
    }
}
