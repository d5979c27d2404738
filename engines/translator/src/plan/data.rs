//! The data as it is at first: the memory's length, globals, tables.

use alloc::vec::Vec;

use bareflow_portable::state::{ELEMENT_BYTES, MEMORY_BYTES, StateLayout};
use cranelift_codegen::ir::TrapCode;

use super::memory::MemoryPlacement;
use crate::module::{Module, Placement};
use crate::traps::TABLE_OUT_OF_BOUNDS;

/// The data that a new instance begins with.
pub(crate) struct InitialData {
    /// The bytes, without trailing zeros.
    pub bytes: Vec<u8>,
    /// The trap that making the instance ends in: that of the first active segment that does not fit.
    pub trap: Option<TrapCode>,
}

impl InitialData {
    /// Writes the data of an instance whose memory has `memory_bytes` at first.
    pub fn new(module: &Module<'_>, layout: &StateLayout, memory: MemoryPlacement, memory_bytes: u64) -> InitialData {
        let mut data = InitialData { bytes: alloc::vec![0; layout.bytes as usize], trap: None };
        if matches!(memory, MemoryPlacement::Bss { .. }) {
            data.put(MEMORY_BYTES, &memory_bytes.to_le_bytes());
        }
        for (number, global) in (0..).zip(&module.globals) {
            data.put(StateLayout::global(number), &global.value.to_le_bytes());
        }
        for (place, table) in layout.tables.iter().zip(&module.tables) {
            data.put(place.offset, &(table.initial as u32).to_le_bytes());
        }
        for elements in &module.elements {
            let Placement::Active { table, offset } = elements.placement else { continue };
            let end = u64::from(offset) + elements.items.len() as u64;
            if end > module.tables[table as usize].initial {
                data.trap = Some(TABLE_OUT_OF_BOUNDS);
                break;
            }
            let first = layout.tables[table as usize].elements() + ELEMENT_BYTES * offset;
            for (index, item) in (0..).zip(&elements.items) {
                data.put(first + ELEMENT_BYTES * index, &item.to_le_bytes());
            }
        }
        let is_outside = |segment: &crate::module::Data<'_>| match segment.placement {
            Placement::Active { offset, .. } => u64::from(offset) + segment.bytes.len() as u64 > memory_bytes,
            _ => false,
        };
        if module.data.iter().any(is_outside) {
            data.trap.get_or_insert(TrapCode::HEAP_OUT_OF_BOUNDS);
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
