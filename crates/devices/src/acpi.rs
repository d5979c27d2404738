//! The tables of ACPI (6.5, 5.2.5 to 5.2.8): the way from the pointer that the firmware left to a table by its name. They may
//! be any bytes.
//!
//! Only one table is ever looked for, and nothing in it is followed, so that this is less than a parser of all of them.

use alloc::vec::Vec;

/// The bytes of the pointer, those that its sum covers, and the offsets of its revision and of the addresses of both lists.
const POINTER_BYTES: usize = 36;
const SUMMED: usize = 20;
const REVISION: usize = 15;
const SHORT_LIST: usize = 16;
const LONG_LIST: usize = 24;

/// The bytes of a table's header, and the offset of the table's length.
const HEADER_BYTES: usize = 36;
const LENGTH: usize = 4;

/// The longest table that is read.
const MAX_BYTES: u32 = 64 << 10;

/// A table that can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AcpiError {
    /// There is no memory at an address.
    #[error("the firmware's tables point to {0:#x}, where no memory is")]
    NoMemoryAt(u64),
    /// The bytes are none of a table.
    #[error("the firmware's table at {0:#x} is damaged: its name, its length or its sum is wrong")]
    Damaged(u64),
    /// There was no memory to read it to.
    #[error("there is no memory for the firmware's tables")]
    NoMemory,
}

/// Reads the table `name`, if the list of tables that the pointer at `pointer` leads to has one. `read` fills a buffer from
/// an address, and returns whether there is memory.
///
/// # Errors
/// The tables can't be.
pub fn find_table(
    mut read: impl FnMut(u64, &mut [u8]) -> bool,
    pointer: u64,
    name: &[u8; 4],
) -> Result<Option<Vec<u8>>, AcpiError> {
    let mut bytes = [0; POINTER_BYTES];
    if !read(pointer, &mut bytes) {
        return Err(AcpiError::NoMemoryAt(pointer));
    }
    if !bytes.starts_with(b"RSD PTR ") || sum(&bytes[..SUMMED]) != 0 {
        return Err(AcpiError::Damaged(pointer));
    }
    let (list, entry_bytes) = match bytes[REVISION] {
        0 | 1 => (u64::from(u32_at(&bytes, SHORT_LIST)), 4),
        _ => (u64::from(u32_at(&bytes, LONG_LIST)) | u64::from(u32_at(&bytes, LONG_LIST + 4)) << 32, 8),
    };
    let list_name = if entry_bytes == 4 { b"RSDT" } else { b"XSDT" };
    let tables = read_table(&mut read, list, list_name)?.ok_or(AcpiError::Damaged(list))?;
    for entry in tables.get(HEADER_BYTES..).unwrap_or_default().chunks_exact(entry_bytes) {
        let high = if entry_bytes == 8 { u32_at(entry, 4) } else { 0 };
        let address = u64::from(u32_at(entry, 0)) | u64::from(high) << 32;
        // One whose name can't be read does not hide those behind it.
        if read(address, &mut [0; HEADER_BYTES])
            && let found @ Some(_) = read_table(&mut read, address, name)?
        {
            return Ok(found);
        }
    }
    Ok(None)
}

/// Reads a table; `None` if it has another name.
fn read_table(
    read: &mut impl FnMut(u64, &mut [u8]) -> bool,
    address: u64,
    name: &[u8; 4],
) -> Result<Option<Vec<u8>>, AcpiError> {
    let mut header = [0; HEADER_BYTES];
    if !read(address, &mut header) {
        return Err(AcpiError::NoMemoryAt(address));
    }
    if !header.starts_with(name) {
        return Ok(None);
    }
    let length = u32_at(&header, LENGTH);
    if length < HEADER_BYTES as u32 || length > MAX_BYTES {
        return Err(AcpiError::Damaged(address));
    }
    let mut table = Vec::new();
    table.try_reserve_exact(length as usize).map_err(|_| AcpiError::NoMemory)?;
    table.resize(length as usize, 0);
    if !read(address, &mut table) {
        return Err(AcpiError::NoMemoryAt(address));
    }
    if sum(&table) != 0 { Err(AcpiError::Damaged(address)) } else { Ok(Some(table)) }
}

fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}

/// Reads a word; 0 where there is none.
fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    let word = bytes.get(offset..).and_then(|rest| rest.first_chunk());
    word.map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use proptest::prelude::*;

    const LIST: u64 = 0x1000;
    const TABLE: u64 = 0x2000;

    /// Memory of 12 KiB, from 0 on.
    struct Memory(Vec<u8>);

    impl Memory {
        fn put(&mut self, address: u64, bytes: &[u8]) {
            self.0[address as usize..][..bytes.len()].copy_from_slice(bytes);
        }

        fn find(&self, name: &[u8; 4]) -> Result<Option<Vec<u8>>, AcpiError> {
            let read = |address: u64, into: &mut [u8]| {
                let end = usize::try_from(address).ok().and_then(|start| Some(start..start.checked_add(into.len())?));
                end.and_then(|range| self.0.get(range)).map(|bytes| into.copy_from_slice(bytes)).is_some()
            };
            find_table(read, 0, name)
        }
    }

    fn table(name: &[u8; 4], contents: &[u8]) -> Vec<u8> {
        let mut table = vec![0; HEADER_BYTES];
        table[..4].copy_from_slice(name);
        table.extend_from_slice(contents);
        let length = table.len() as u32;
        table[LENGTH..][..4].copy_from_slice(&length.to_le_bytes());
        table[9] = 0_u8.wrapping_sub(sum(&table));
        table
    }

    fn memory(revision: u8) -> Memory {
        let mut memory = Memory(vec![0; 0x3000]);
        let mut pointer = [0; POINTER_BYTES];
        pointer[..8].copy_from_slice(b"RSD PTR ");
        pointer[REVISION] = revision;
        pointer[if revision < 2 { SHORT_LIST } else { LONG_LIST }..][..2].copy_from_slice(&[0, 0x10]);
        pointer[8] = 0_u8.wrapping_sub(sum(&pointer[..SUMMED]));
        memory.put(0, &pointer);
        let entries: Vec<u8> = if revision < 2 {
            [0x2800_u32, TABLE as u32].iter().flat_map(|entry| entry.to_le_bytes()).collect()
        } else {
            [0x2800, TABLE].iter().flat_map(|entry| entry.to_le_bytes()).collect()
        };
        memory.put(LIST, &table(if revision < 2 { b"RSDT" } else { b"XSDT" }, &entries));
        memory.put(0x2800, &table(b"APIC", &[]));
        memory.put(TABLE, &table(b"VIOT", &[1, 2, 3]));
        memory
    }

    #[test]
    fn finds_a_table_in_either_list() {
        for revision in [0, 2] {
            let memory = memory(revision);
            assert_eq!(memory.find(b"VIOT"), Ok(Some(table(b"VIOT", &[1, 2, 3]))));
            assert_eq!(memory.find(b"DMAR"), Ok(None));
            // So it is behind an entry that leads nowhere.
            let mut memory = memory;
            let first = LIST + HEADER_BYTES as u64;
            memory.put(first + 3, &[0xff]);
            memory.put(LIST + 9, &[memory.0[LIST as usize + 9].wrapping_add(1)]);
            assert_eq!(memory.find(b"VIOT"), Ok(Some(table(b"VIOT", &[1, 2, 3]))));
        }
    }

    #[test]
    fn rejects_what_is_damaged() {
        let changed = |address, bytes: &[u8]| {
            let mut memory = memory(0);
            memory.put(address, bytes);
            memory.find(b"VIOT")
        };
        assert_eq!(changed(0, b"X"), Err(AcpiError::Damaged(0)));
        assert_eq!(changed(9, b"X"), Err(AcpiError::Damaged(0)));
        assert_eq!(changed(LIST, b"X"), Err(AcpiError::Damaged(LIST)));
        assert_eq!(changed(TABLE + 38, b"X"), Err(AcpiError::Damaged(TABLE)));
        assert_eq!(changed(TABLE + LENGTH as u64, &[35, 0, 0, 0]), Err(AcpiError::Damaged(TABLE)));
        assert_eq!(changed(TABLE + LENGTH as u64, &u32::MAX.to_le_bytes()), Err(AcpiError::Damaged(TABLE)));
        assert_eq!(changed(TABLE + LENGTH as u64, &[0, 0x20, 0, 0]), Err(AcpiError::NoMemoryAt(TABLE)));
    }

    proptest! {
        #[test]
        fn ends_whatever_the_bytes_are(changes in prop::collection::vec((0_u64..0x2fff, any::<u8>()), 0..50), revision in 0_u8..3) {
            let mut memory = memory(revision);
            changes.iter().for_each(|(address, byte)| memory.put(*address, &[*byte]));
            _ = memory.find(b"VIOT");
        }
    }
}
