//! The bytes of an instance: words, elements of tables, and marks of segments.

use bareflow_portable::state::{ELEMENT_BYTES, TABLE_HEADER_BYTES};

use crate::fault::Fault;

/// Returns the word at an offset.
///
/// # Errors
/// If the bytes are too few.
pub fn word(bytes: &[u8], offset: u32) -> Result<u64, Fault> {
    let word = bytes.get(offset as usize..).and_then(|rest| rest.first_chunk());
    word.map(|word| u64::from_le_bytes(*word)).ok_or_else(|| Fault::missing("word", offset))
}

/// Sets the word at an offset.
///
/// # Errors
/// If the bytes are too few.
pub fn set_word(bytes: &mut [u8], offset: u32, value: u64) -> Result<(), Fault> {
    let word = bytes.get_mut(offset as usize..).and_then(|rest| rest.first_chunk_mut());
    *word.ok_or_else(|| Fault::missing("word", offset))? = value.to_le_bytes();
    Ok(())
}

/// Returns the byte of a segment: 1 once it is dropped.
///
/// # Errors
/// If the bytes are too few.
pub fn segment_mark(bytes: &mut [u8], offset: u32, number: u32) -> Result<&mut u8, Fault> {
    bytes.get_mut((offset + number) as usize).ok_or_else(|| Fault::missing("segment", number))
}

/// Returns the place of an element of a table.
///
/// # Errors
/// If the bytes are too few.
pub fn element_at(bytes: &mut [u8], table: u32, index: u32) -> Result<&mut [u8; 4], Fault> {
    let offset = u64::from(table + TABLE_HEADER_BYTES) + u64::from(ELEMENT_BYTES) * u64::from(index);
    let place = bytes.get_mut(offset as usize..).and_then(|rest| rest.first_chunk_mut());
    place.ok_or_else(|| Fault::missing("element", index))
}
