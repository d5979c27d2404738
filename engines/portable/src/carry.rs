//! The areas of an instance's state that a loader carries from one blob to another of the same module.

use alloc::vec::Vec;

use bareflow_abi::carry::{BYTES, CarryArea, CarryHeader, ELEMENTS, MEMORY};

use crate::state::{CARRIED, ELEMENT_BYTES, GLOBAL_BYTES, INSTANTIATED, MEMORY_BASE, StateLayout};

/// The parts of a module that its areas follow from.
#[derive(Clone, Copy, Debug)]
pub struct References<'module> {
    /// The number of functions, imports included.
    pub functions: u32,
    /// For each global, whether it is a reference to a function.
    pub globals: &'module [bool],
    /// For each table, whether its elements are references to functions.
    pub tables: &'module [bool],
    /// Whether there is a memory.
    pub memory: bool,
}

/// Returns the areas, in the order in which each engine lists them.
#[must_use]
pub fn areas(layout: &StateLayout, references: &References<'_>) -> Vec<CarryArea> {
    let area = |kind, offset, bytes, limit| CarryArea { offset, bytes, kind, limit };
    let mut areas = Vec::new();
    areas.extend(references.memory.then(|| area(MEMORY, MEMORY_BASE, 0, 0)));
    let mut last = area(BYTES, INSTANTIATED, CARRIED - INSTANTIATED, 0);
    for (number, &is_function) in (0..).zip(references.globals) {
        let (kind, limit) = if is_function { (ELEMENTS, references.functions) } else { (BYTES, 0) };
        if last.kind == kind {
            last.bytes += GLOBAL_BYTES;
        } else {
            areas.push(last);
            last = area(kind, StateLayout::global(number), GLOBAL_BYTES, limit);
        }
    }
    areas.push(last);
    for (place, &is_function) in layout.tables.iter().zip(references.tables) {
        areas.push(area(ELEMENTS, place.offset, ELEMENT_BYTES, place.room));
        let limit = if is_function { references.functions } else { u32::MAX };
        let bytes = ELEMENT_BYTES * place.room;
        areas.extend((bytes > 0).then(|| area(ELEMENTS, place.elements(), bytes, limit)));
    }
    let dropped = layout.bytes - layout.data_dropped;
    areas.extend((dropped > 0).then(|| area(BYTES, layout.data_dropped, dropped, 0)));
    areas
}

/// Returns the record's bytes.
#[must_use]
pub fn encode(digest: u64, flags: u32, areas: &[CarryArea]) -> Vec<u8> {
    let header = CarryHeader { digest, flags, count: areas.len() as u32 };
    header.to_bytes().into_iter().chain(areas.iter().flat_map(CarryArea::to_bytes)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{Counts, TableLimits};
    use bareflow_abi::carry::Carry;

    #[test]
    fn carries_each_byte_of_the_state_once() {
        let tables = [TableLimits { initial: 2, maximum: Some(2) }];
        let layout = StateLayout::new(Counts { globals: 3, tables: &tables, data_segments: 1, element_segments: 0 });
        let layout = layout.unwrap();
        let references = References { functions: 7, globals: &[false, true, false], tables: &[true], memory: true };
        let record = encode(1, 0, &areas(&layout, &references));
        let carry = Carry::parse(&record, u64::from(layout.bytes)).unwrap();
        let found: Vec<_> = carry.areas().map(|area| (area.offset, area.bytes, area.kind, area.limit)).collect();
        assert_eq!(
            found,
            [(0, 0, 2, 0), (24, 24, 0, 0), (48, 16, 1, 7), (64, 16, 0, 0), (80, 4, 1, 2), (88, 8, 1, 7), (96, 8, 0, 0)]
        );
    }
}
