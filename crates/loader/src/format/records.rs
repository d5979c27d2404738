//! The records at the end of a blob: kind, length, bytes.

use bareflow_abi::interface::bindings::Entries;
use bareflow_abi::record::{BINDINGS, RECORD_HEADER_SIZE};

use crate::error::InvalidModule;

/// A record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'blob> {
    /// The kind of the record; see [`bareflow_abi::record`].
    pub kind: u32,
    /// The contents of the record.
    pub bytes: &'blob [u8],
}

/// Returns the bytes of the first record of a kind; empty if there is none.
#[cold]
#[must_use]
pub fn first_record(records: &[u8], kind: u32) -> &[u8] {
    Records::new(records).flatten().find(|record| record.kind == kind).map_or(&[], |record| record.bytes)
}

/// Returns the imports and exports among the records.
#[cold]
#[must_use]
pub fn bindings(records: &[u8]) -> Entries<'_> {
    Entries::new(first_record(records, BINDINGS))
}

/// An iterator over the records; it ends with the first one that is cut off.
#[derive(Clone, Debug)]
pub struct Records<'blob> {
    rest: &'blob [u8],
}

impl<'blob> Records<'blob> {
    /// Creates an iterator over encoded records.
    #[must_use]
    pub const fn new(encoded: &'blob [u8]) -> Records<'blob> {
        Records { rest: encoded }
    }

    fn read(&mut self) -> Option<Record<'blob>> {
        let (header, rest) = self.rest.split_first_chunk::<RECORD_HEADER_SIZE>()?;
        let [a, b, c, d, e, f, g, h] = *header;
        let length = usize::try_from(u32::from_le_bytes([e, f, g, h])).ok()?;
        let (bytes, rest) = rest.split_at_checked(length)?;
        self.rest = rest;
        Some(Record { kind: u32::from_le_bytes([a, b, c, d]), bytes })
    }
}

impl<'blob> Iterator for Records<'blob> {
    type Item = Result<Record<'blob>, InvalidModule>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let left = self.rest.len();
        Some(self.read().ok_or_else(|| {
            self.rest = &[];
            InvalidModule::RecordCutOff { left }
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn reads_one_after_the_other() {
        let encoded = [1, 0, 0, 0x80, 2, 0, 0, 0, 7, 8, 2, 0, 0, 0, 0, 0, 0, 0];
        let records: Result<Vec<_>, _> = Records::new(&encoded).collect();
        let expected = [Record { kind: 0x8000_0001, bytes: &[7, 8] }, Record { kind: 2, bytes: &[] }];
        assert_eq!(records, Ok(Vec::from(expected)));
    }

    #[test]
    fn rejects_what_is_cut_off() {
        let encoded = [1, 0, 0, 0, 2, 0, 0, 0, 7];
        for length in 1..=encoded.len() {
            let first = Records::new(&encoded[..length]).next();
            assert_eq!(first, Some(Err(InvalidModule::RecordCutOff { left: length })));
        }
    }
}
