//! Where the state of an instance lies in the data segment.
//!
//! First the *context*: four words of 8 bytes. Then the *carried area*: the globals, 16 bytes each; the tables, each its
//! current size (`u32`), 4 unused bytes, and room for the most elements that it may have (`u32` each); and a byte for each
//! segment of data, then of elements, which is 1 once it is dropped. An element is the number of a function plus one, or 0
//! for null, so state is the same bytes in each tier, whoever made the code.

use alloc::vec::Vec;

/// The offset of the word with the address of linear memory.
pub const MEMORY_BASE: u32 = 0;

/// The offset of the word with the current length of linear memory, in bytes.
pub const MEMORY_BYTES: u32 = 8;

/// The offset of the word with the address of the call's `Context`.
pub const CALL_CONTEXT: u32 = 16;

/// The offset of the word whose bit 0 says that the instance is made.
pub const INSTANTIATED: u32 = 24;

/// The offset of the carried area.
pub const CARRIED: u32 = 32;

/// The size of a global's place, in bytes.
pub const GLOBAL_BYTES: u32 = 16;

/// The size of a table's place before its elements, in bytes: of its current size, and of what aligns them.
pub const TABLE_HEADER_BYTES: u32 = 8;

/// The size of an element, in bytes.
pub const ELEMENT_BYTES: u32 = 4;

/// The number of elements that a table without a smaller maximum of its own can grow to, unless it begins with more.
pub const TABLE_ROOM: u32 = 4096;

/// The largest carried area, in bytes.
pub const MAX_BYTES: u64 = 16 << 20;

/// A table's limits, as in the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableLimits {
    /// The number of elements at first.
    pub initial: u64,
    /// The most elements, if the module says it.
    pub maximum: Option<u64>,
}

/// A table's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TablePlace {
    /// The offset of its current size; its elements follow [`TABLE_HEADER_BYTES`] on.
    pub offset: u32,
    /// The most elements that it can have.
    pub room: u32,
}

impl TablePlace {
    /// Returns the offset of the 4 unused bytes, which are always 0.
    #[must_use]
    pub const fn unused(self) -> u32 {
        self.offset + 4
    }

    /// Returns the offset of the first element.
    #[must_use]
    pub const fn elements(self) -> u32 {
        self.offset + TABLE_HEADER_BYTES
    }
}

/// The numbers and limits that a layout follows from.
#[derive(Clone, Copy, Debug)]
pub struct Counts<'module> {
    /// The number of globals.
    pub globals: u32,
    /// The limits of the tables.
    pub tables: &'module [TableLimits],
    /// The number of data segments.
    pub data_segments: u32,
    /// The number of element segments.
    pub element_segments: u32,
}

/// The layout of context and carried area.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateLayout {
    /// The tables' places, in order.
    pub tables: Vec<TablePlace>,
    /// The offset of the first data segment's byte.
    pub data_dropped: u32,
    /// The offset of the first element segment's byte.
    pub elements_dropped: u32,
    /// The size of all, in bytes: a multiple of 8.
    pub bytes: u32,
}

impl StateLayout {
    /// Returns the layout; `None` if it takes more than [`MAX_BYTES`].
    #[must_use]
    pub fn new(counts: Counts<'_>) -> Option<StateLayout> {
        let mut end = u64::from(CARRIED) + u64::from(counts.globals) * u64::from(GLOBAL_BYTES);
        let mut tables = Vec::with_capacity(counts.tables.len());
        for table in counts.tables {
            let most = table.maximum.unwrap_or(u64::MAX);
            let room = most.min(u64::from(TABLE_ROOM)).max(table.initial);
            let elements = room.checked_mul(ELEMENT_BYTES.into())?;
            if end.checked_add(elements)? > MAX_BYTES {
                return None;
            }
            tables.push(TablePlace { offset: u32::try_from(end).ok()?, room: u32::try_from(room).ok()? });
            end += u64::from(TABLE_HEADER_BYTES) + elements.next_multiple_of(8);
        }
        let data_dropped = end;
        let elements_dropped = data_dropped + u64::from(counts.data_segments);
        let bytes = (elements_dropped + u64::from(counts.element_segments)).next_multiple_of(8);
        (bytes <= MAX_BYTES).then_some(())?;
        let small = |number: u64| u32::try_from(number).ok();
        Some(StateLayout {
            tables,
            data_dropped: small(data_dropped)?,
            elements_dropped: small(elements_dropped)?,
            bytes: small(bytes)?,
        })
    }

    /// Returns the offset of the global with this number.
    #[must_use]
    pub const fn global(number: u32) -> u32 {
        CARRIED + number * GLOBAL_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(globals: u32, tables: &[TableLimits]) -> Option<StateLayout> {
        StateLayout::new(Counts { globals, tables, data_segments: 3, element_segments: 2 })
    }

    #[test]
    fn places_follow_each_other() {
        let tables = [
            TableLimits { initial: 3, maximum: Some(3) },
            TableLimits { initial: 0, maximum: None },
            TableLimits { initial: 5000, maximum: None },
        ];
        let layout = layout(2, &tables).unwrap();
        let place = |offset, room| TablePlace { offset, room };
        assert_eq!(layout.tables, [place(64, 3), place(88, 4096), place(88 + 8 + 4 * 4096, 5000)]);
        assert_eq!(layout.data_dropped, 96 + 4 * 4096 + 8 + 20_000);
        assert_eq!(layout.elements_dropped, layout.data_dropped + 3);
        assert_eq!(layout.bytes, layout.data_dropped + 8);
    }

    #[test]
    fn refuses_what_is_too_large() {
        for initial in [4 << 20, u64::MAX] {
            assert_eq!(layout(0, &[TableLimits { initial, maximum: None }]), None);
        }
        assert_eq!(layout(u32::MAX, &[]), None);
    }
}
