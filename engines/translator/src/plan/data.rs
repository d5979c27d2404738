//! The data as it is at first: the memory's length, globals, tables.

use alloc::vec::Vec;

use bareflow_abi::traps::TrapKind;
use bareflow_portable::sections::SegmentMode;
use bareflow_portable::state::{ELEMENT_BYTES, MEMORY_BYTES, StateLayout};

use super::memory::MemoryPlacement;
use crate::module::Module;

/// The data that a new instance begins with.
pub(crate) struct InitialData {
    /// The bytes, without trailing zeros.
    pub bytes: Vec<u8>,
    /// The trap that making the instance ends in.
    pub trap: Option<TrapKind>,
}

impl InitialData {
    /// Writes the data.
    pub fn new(module: &Module<'_>, layout: &StateLayout, memory: MemoryPlacement) -> InitialData {
        let mut data =
            InitialData { bytes: alloc::vec![0; layout.bytes as usize], trap: module.sections.instantiation_trap() };
        if matches!(memory, MemoryPlacement::Bss { .. }) {
            data.put(MEMORY_BYTES, &module.sections.initial_memory_bytes().to_le_bytes());
        }
        for (number, global) in (0..).zip(&module.sections.globals) {
            data.put(StateLayout::global(number), &global.value.to_le_bytes());
        }
        for (place, table) in layout.tables.iter().zip(&module.sections.tables) {
            data.put(place.offset, &(table.limits.initial as u32).to_le_bytes());
        }
        for elements in &module.sections.elements {
            let SegmentMode::Active { table, offset } = elements.mode else { continue };
            let end = u64::from(offset) + elements.items.len() as u64;
            if end > module.sections.tables[table as usize].limits.initial {
                break;
            }
            let first = layout.tables[table as usize].elements() + ELEMENT_BYTES * offset;
            for (index, item) in (0..).zip(&elements.items) {
                data.put(first + ELEMENT_BYTES * index, &item.to_le_bytes());
            }
        }
        let used = data.bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        // A fix-up must lie in what the file has.
        data.bytes.truncate(used.max(8));
        data
    }

    fn put(&mut self, offset: u32, bytes: &[u8]) {
        self.bytes[offset as usize..][..bytes.len()].copy_from_slice(bytes);
    }
}
