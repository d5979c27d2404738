//! The heap that the runner needs for a module, from what wasmi takes for each of its parts.

use bareflow_portable::refusal::Refusal;
use bareflow_portable::sections::SegmentMode;

use crate::module::{Module, section};

/// The bytes for any module: the stacks of nested calls at their largest, while they grow.
const BASE: u64 = 3 << 19;

/// The bytes for each byte of code: a copy until a function's first call, and then its translation.
const FOR_CODE_BYTE: u64 = 7;

/// The bytes for each byte of the largest function, while it is translated.
const FOR_LARGEST_BYTE: u64 = 48;

/// The bytes for each function besides its code.
const FOR_FUNCTION: u64 = 192;

/// The bytes for each element of a table.
const FOR_TABLE_ELEMENT: u64 = 8;

/// The bytes for each element of a segment, and each function that others can refer to.
const FOR_ELEMENT: u64 = 40;

/// The bytes for each type, global, table and segment.
const FOR_ITEM: u64 = 256;

/// The bytes for each segment that can be dropped: it has two functions.
const FOR_DROPPABLE: u64 = 2 * (FOR_FUNCTION + FOR_ELEMENT + 16 * FOR_CODE_BYTE);

/// Returns the size of the heap, in bytes. What allocators add lies within it.
///
/// # Errors
/// None for a valid module.
pub fn heap_bytes(module: &Module<'_>) -> Result<u32, Refusal> {
    let (functions, code) = module.entries(section::CODE)?;
    let sections = &module.sections;
    let tables: u64 = sections.tables.iter().map(|table| table.limits.initial).sum();
    let (mut elements, mut data, mut droppable) = (module.referable.len() as u64, 0, 0);
    for segment in sections.elements.iter().filter(|segment| segment.mode == SegmentMode::Passive) {
        elements += segment.items.len() as u64;
        droppable += 1;
    }
    for segment in sections.data.iter().filter(|segment| segment.mode == SegmentMode::Passive) {
        data += segment.bytes.len() as u64;
        droppable += 1;
    }
    let items = sections.globals.len() + sections.tables.len() + sections.elements.len() + sections.data.len();
    let bytes = BASE
        + FOR_CODE_BYTE * code.len() as u64
        + FOR_LARGEST_BYTE * module.largest as u64
        + FOR_FUNCTION * u64::from(functions)
        + FOR_TABLE_ELEMENT * tables
        + FOR_ELEMENT * elements
        + FOR_DROPPABLE * droppable
        + FOR_ITEM * (items + sections.types.len()) as u64
        + data;
    Ok(u32::try_from(bytes).unwrap_or(u32::MAX).next_multiple_of(4096))
}
