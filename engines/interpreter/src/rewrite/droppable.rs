//! The segments that code can drop, and the functions by which that is seen and done.

use alloc::vec::Vec;

use bareflow_portable::sections::{Sections, SegmentMode};
use wasm_encoder::{Encode, Function};

/// A segment that code can drop, as its functions see it.
pub(super) struct Droppable {
    /// The number among all segments, data first.
    pub number: u32,
    /// The number among those of its kind.
    index: u32,
    /// The number of bytes or elements.
    count: u32,
    /// For elements, a table that they fit into.
    table: Option<u32>,
}

/// Returns the segments for which it can be seen whether they are dropped.
///
/// Those without contents look the same afterwards, and so do those that no memory or table can take.
pub(super) fn droppable(sections: &Sections<'_>) -> Vec<Droppable> {
    let mut found = Vec::new();
    for (index, segment) in (0..).zip(&sections.data) {
        let count = segment.bytes.len() as u32;
        if segment.mode == SegmentMode::Passive && count > 0 && sections.memory.is_some() {
            found.push(Droppable { number: index, index, count, table: None });
        }
    }
    for (index, segment) in (0..).zip(&sections.elements) {
        let count = segment.items.len() as u32;
        if segment.mode == SegmentMode::Passive && count > 0 {
            let fits = sections.tables.iter().position(|table| table.of_functions == segment.of_functions);
            let table = fits.or_else(|| segment.of_functions.then_some(sections.tables.len()));
            let number = sections.data.len() as u32 + index;
            found.extend(table.map(|table| Droppable { number, index, count, table: Some(table as u32) }));
        }
    }
    found
}

/// Returns the bodies of a segment's functions: the one that traps if it is dropped, and the one that drops it.
pub(super) fn bodies(segment: &Droppable) -> [Vec<u8>; 2] {
    let (mut probe, mut drop) = (Function::new([]), Function::new([]));
    probe.instructions().i32_const(0).i32_const(segment.count as i32).i32_const(0);
    match segment.table {
        Some(table) => {
            probe.instructions().table_init(table, segment.index).end();
            drop.instructions().elem_drop(segment.index).end();
        }
        None => {
            probe.instructions().memory_init(0, segment.index).end();
            drop.instructions().data_drop(segment.index).end();
        }
    }
    [probe, drop].map(|function| {
        let mut body = Vec::new();
        function.encode(&mut body);
        body
    })
}
