//! The areas of an instance's state that a loader carries from one blob to another of the same module.

use alloc::vec::Vec;

use bareflow_abi::carry::{AREA_BYTES, AREA_ELEMENTS, AREA_MEMORY, CarryArea, CarryHeader};

use crate::sections::Sections;
use crate::state::{CARRIED, ELEMENT_BYTES, GLOBAL_BYTES, INSTANTIATED, MEMORY_BASE, StateLayout};

/// Returns the areas, in the order in which each engine lists them.
#[must_use]
pub fn areas(layout: &StateLayout, sections: &Sections<'_>) -> Vec<CarryArea> {
    let area = |kind, offset, bytes, limit| CarryArea { offset, bytes, kind, limit };
    let mut areas = Vec::new();
    areas.extend(sections.memory.map(|_| area(AREA_MEMORY, MEMORY_BASE, 0, 0)));
    let mut last = area(AREA_BYTES, INSTANTIATED, CARRIED - INSTANTIATED, 0);
    for (number, global) in (0..).zip(&sections.globals) {
        let (kind, limit) =
            if global.is_function() { (AREA_ELEMENTS, sections.function_count()) } else { (AREA_BYTES, 0) };
        if last.kind == kind {
            last.bytes += GLOBAL_BYTES;
        } else {
            areas.push(last);
            last = area(kind, StateLayout::global(number), GLOBAL_BYTES, limit);
        }
    }
    areas.push(last);
    for (place, table) in layout.tables.iter().zip(&sections.tables) {
        areas.push(area(AREA_ELEMENTS, place.offset, ELEMENT_BYTES, place.room));
        let limit = if table.of_functions { sections.function_count() } else { u32::MAX };
        let bytes = ELEMENT_BYTES * place.room;
        areas.extend((bytes > 0).then(|| area(AREA_ELEMENTS, place.elements(), bytes, limit)));
    }
    let dropped = layout.bytes - layout.data_dropped;
    areas.extend((dropped > 0).then(|| area(AREA_BYTES, layout.data_dropped, dropped, 0)));
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
    use crate::sections::{DataSegment, Global, Memory, SegmentMode, Table};
    use crate::state::TableLimits;
    use alloc::vec;
    use bareflow_abi::carry::Carry;
    use wasmparser::ValType;

    #[test]
    fn carries_each_byte_of_the_state_once() {
        let global = |value_type| Global { value_type, mutable: true, value: 0 };
        let sections = Sections {
            functions: vec![0; 7],
            globals: [ValType::I32, ValType::FUNCREF, ValType::EXTERNREF].map(global).into(),
            tables: vec![Table { of_functions: true, limits: TableLimits { initial: 2, maximum: Some(2) } }],
            memory: Some(Memory { initial_pages: 1, maximum_pages: None }),
            data: vec![DataSegment { mode: SegmentMode::Passive, bytes: b"", range: 0..0 }],
            ..Sections::default()
        };
        let layout = sections.state_layout().unwrap();
        let record = encode(1, 0, &areas(&layout, &sections));
        let carry = Carry::parse(&record, u64::from(layout.bytes)).unwrap();
        let found: Vec<_> = carry.areas().map(|area| (area.offset, area.bytes, area.kind, area.limit)).collect();
        assert_eq!(
            found,
            [(0, 0, 2, 0), (24, 24, 0, 0), (48, 16, 1, 7), (64, 16, 0, 0), (80, 4, 1, 2), (88, 8, 1, 7), (96, 8, 0, 0)]
        );
    }
}
