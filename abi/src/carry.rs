//! The carried areas of a compiled module, as a record of its blob: what makes up its instance of WebAssembly.
//!
//! An engine writes the record and the loader reads it. Two blobs that engines made of the same WebAssembly have the same
//! areas, though at other places: the loader copies them from one image to the other, and the second goes on where the
//! first stopped. The record is a [`CarryHeader`], then its areas, each a [`CarryArea`].

use crate::fields::fields;
use crate::fnv::{START, hash_bytes};

/// The version of the layout of what lies in the areas: globals of 16 bytes each, tables as their size and elements, marks of
/// dropped segments.
pub const LAYOUT_VERSION: u32 = 1;

/// The flag of a module that writes its instance into the areas when it is called for [`Reason::Carry`](crate::Reason::Carry).
pub const CARRY_ON_CALL: u32 = 1;

/// The size of a [`CarryHeader`], in bytes.
pub const CARRY_HEADER_SIZE: usize = 16;

/// The size of a [`CarryArea`], in bytes.
pub const CARRY_AREA_SIZE: usize = 16;

fields! {
    /// The start of the record.
    CarryHeader, CARRY_HEADER_SIZE;
    /// The [`carry_digest`] of the WebAssembly.
    digest: u64,
    /// [`CARRY_ON_CALL`], or 0.
    flags: u32,
    /// The number of areas.
    count: u32,
}

fields! {
    /// An area of a module's data that is carried.
    CarryArea, CARRY_AREA_SIZE;
    /// The offset of the area in the data, in bytes; that of words 0 and 1 of the instance for a memory.
    offset: u32,
    /// The size, in bytes; 0 for a memory.
    bytes: u32,
    /// The kind of what is in it: [`AREA_BYTES`], [`AREA_ELEMENTS`] or [`AREA_MEMORY`].
    kind: u32,
    /// The greatest value of an element; 0 for others.
    limit: u32,
}

/// The kind of an area of any bytes.
pub const AREA_BYTES: u32 = 0;

/// The kind of an area of elements of tables: numbers of 4 bytes, each checked against the limit.
pub const AREA_ELEMENTS: u32 = 1;

/// The kind of an area that is a memory, whose address and length, of 8 bytes each, lie at the offset.
pub const AREA_MEMORY: u32 = 2;

/// Returns the digest of the bytes of a module of WebAssembly and of the layout: a hash, against mistakes alone.
#[must_use]
pub const fn carry_digest(wasm: &[u8]) -> u64 {
    hash_bytes(&LAYOUT_VERSION.to_le_bytes(), hash_bytes(wasm, START))
}

/// The carried areas.
#[derive(Clone, Copy, Debug)]
pub struct Carry<'bytes> {
    /// The start of the record.
    pub header: CarryHeader,
    areas: &'bytes [[u8; CARRY_AREA_SIZE]],
}

/// An error in a list of carried areas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadCarry {
    /// The list is cut off, or has bytes after its end.
    Length,
    /// A flag is unknown.
    Flags,
    /// A kind is unknown.
    Kind,
    /// An area extends beyond the data, or is not of whole elements.
    Place,
}

impl BadCarry {
    /// Returns a description for messages.
    #[must_use]
    pub const fn what(self) -> &'static str {
        match self {
            BadCarry::Length => "its length is not that of its areas",
            BadCarry::Flags => "its flags are unknown",
            BadCarry::Kind => "an area's kind is unknown",
            BadCarry::Place => "an area does not lie in the data, in whole elements",
        }
    }
}

impl<'bytes> Carry<'bytes> {
    /// Reads and checks the record of a module with `data_bytes` of data and bss.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn parse(bytes: &'bytes [u8], data_bytes: u64) -> Result<Carry<'bytes>, BadCarry> {
        let (header, rest) = bytes.split_first_chunk().ok_or(BadCarry::Length)?;
        let header = CarryHeader::from_bytes(header);
        let (areas, cut) = rest.as_chunks();
        if !cut.is_empty() || u32::try_from(areas.len()) != Ok(header.count) {
            return Err(BadCarry::Length);
        }
        if header.flags & !CARRY_ON_CALL != 0 {
            return Err(BadCarry::Flags);
        }
        let carry = Carry { header, areas };
        for area in carry.areas() {
            let bytes = match area.kind {
                AREA_BYTES => area.bytes,
                AREA_ELEMENTS if area.bytes.is_multiple_of(4) && area.offset.is_multiple_of(4) => area.bytes,
                AREA_MEMORY if area.bytes == 0 => 16,
                AREA_ELEMENTS | AREA_MEMORY => return Err(BadCarry::Place),
                _ => return Err(BadCarry::Kind),
            };
            if u64::from(area.offset) + u64::from(bytes) > data_bytes {
                return Err(BadCarry::Place);
            }
        }
        Ok(carry)
    }

    /// Iterates over the areas.
    pub fn areas(&self) -> impl ExactSizeIterator<Item = CarryArea> + use<'bytes> {
        self.areas.iter().map(CarryArea::from_bytes)
    }

    /// Returns whether `other` has the same areas, if at other places.
    #[must_use]
    pub fn fits(&self, other: &Carry<'_>) -> bool {
        let shape = |area: CarryArea| (area.bytes, area.kind, area.limit);
        self.header.digest == other.header.digest && self.areas().map(shape).eq(other.areas().map(shape))
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    fn record(flags: u32, areas: &[CarryArea]) -> Vec<u8> {
        let header = CarryHeader { digest: carry_digest(b"wasm"), flags, count: areas.len() as u32 };
        let areas = areas.iter().flat_map(CarryArea::to_bytes);
        header.to_bytes().into_iter().chain(areas).collect()
    }

    const AREAS: [CarryArea; 3] = [
        CarryArea { offset: 24, bytes: 40, kind: AREA_BYTES, limit: 0 },
        CarryArea { offset: 64, bytes: 36, kind: AREA_ELEMENTS, limit: 7 },
        CarryArea { offset: 0, bytes: 0, kind: AREA_MEMORY, limit: 0 },
    ];

    #[test]
    fn reads_what_was_written() {
        let bytes = record(CARRY_ON_CALL, &AREAS);
        let carry = Carry::parse(&bytes, 100).unwrap();
        assert!(carry.areas().eq(AREAS));
        assert_eq!(carry.header.flags, CARRY_ON_CALL);
    }

    #[test]
    fn fits_the_same_areas_at_other_places() {
        let (one, moved) = (record(0, &AREAS), AREAS.map(|area| CarryArea { offset: area.offset + 4, ..area }));
        let (moved, fewer) = (record(1, &moved), record(0, &AREAS[1..]));
        let one = Carry::parse(&one, 100).unwrap();
        assert!(one.fits(&Carry::parse(&moved, 104).unwrap()));
        assert!(!one.fits(&Carry::parse(&fewer, 100).unwrap()));
        let mut other = record(0, &AREAS);
        other[0] ^= 1;
        assert!(!one.fits(&Carry::parse(&other, 100).unwrap()));
    }

    #[test]
    fn rejects_what_is_no_list_of_areas() {
        let found = |bytes: &[u8], data| Carry::parse(bytes, data).err();
        let good = record(0, &AREAS);
        for length in 0..good.len() {
            assert_eq!(found(&good[..length], 100), Some(BadCarry::Length), "{length}");
        }
        assert_eq!(found(&record(2, &AREAS), 100), Some(BadCarry::Flags));
        assert_eq!(found(&good, 99), Some(BadCarry::Place));
        let with = |index: usize, change: fn(&mut CarryArea)| {
            let mut areas = AREAS;
            change(&mut areas[index]);
            found(&record(0, &areas), 100)
        };
        assert_eq!(with(0, |area| area.kind = 3), Some(BadCarry::Kind));
        assert_eq!(with(0, |area| area.offset = u32::MAX), Some(BadCarry::Place));
        assert_eq!(with(1, |area| area.bytes = 35), Some(BadCarry::Place));
        assert_eq!(with(1, |area| area.offset = 62), Some(BadCarry::Place));
        assert_eq!(with(2, |area| area.bytes = 1), Some(BadCarry::Place));
        assert_eq!(with(2, |area| area.offset = 85), Some(BadCarry::Place));
    }
}
