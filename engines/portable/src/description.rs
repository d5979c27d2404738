//! The custom section `bareflow.module`: a header as in `docs/format.md`, without sizes and what depends on the machine, and
//! then records.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use bareflow_abi::header::{HEADER_SIZE, Header, MAGIC, NAME_SIZE, is_name_byte};
use bareflow_abi::record::{
    BINDINGS, DEPENDENCIES, EVENTS, EXPECTED_RESULT, PARAMETERS, RECORD_HEADER_SIZE, SIGNATURES, STATE_SCHEMA,
};

pub use bareflow_abi::portable::SECTION;

/// The records that a module may bring with it. All others say where something lies in the blob, which is the engine's to say:
/// in the sandbox, a module that could would choose its own code.
const RECORDS: [u32; 7] = [DEPENDENCIES, BINDINGS, EVENTS, EXPECTED_RESULT, STATE_SCHEMA, PARAMETERS, SIGNATURES];

/// The contents of a section.
#[derive(Clone, Debug)]
pub struct Description<'wasm> {
    /// The header.
    pub header: Header,
    /// The records, each with its header.
    pub records: &'wasm [u8],
}

impl<'wasm> Description<'wasm> {
    /// Reads a section.
    ///
    /// # Errors
    /// A description of what is wrong with it.
    pub fn read(section: &'wasm [u8]) -> Result<Description<'wasm>, String> {
        let (header, records) = section.split_at_checked(HEADER_SIZE).ok_or_else(|| {
            format!("the section {SECTION} has {} bytes, expected at least {HEADER_SIZE}; build it anew", section.len())
        })?;
        let mut bytes = [0; HEADER_SIZE];
        bytes.copy_from_slice(header);
        let header = Header::from_bytes(&bytes);
        if header.magic != MAGIC {
            return Err(format!("the section {SECTION} begins with {:#x}, expected {MAGIC:#x}", header.magic));
        }
        let description = Description { header, records };
        let mut rest = records;
        while !rest.is_empty() {
            let (kind, _, behind) =
                split(rest).ok_or_else(|| format!("a record in the section {SECTION} is cut off"))?;
            if !RECORDS.contains(&kind) {
                return Err(format!(
                    "the section {SECTION} has a record of kind {kind:#x}, which is none of a portable module"
                ));
            }
            rest = behind;
        }
        Ok(description)
    }

    /// Iterates over the records: kind and bytes.
    pub fn records(&self) -> impl Iterator<Item = (u32, &'wasm [u8])> {
        let mut rest = self.records;
        core::iter::from_fn(move || {
            let (kind, bytes, behind) = split(rest)?;
            rest = behind;
            Some((kind, bytes))
        })
    }

    /// Returns the record of bindings, if there is one.
    #[must_use]
    pub fn bindings(&self) -> Option<&'wasm [u8]> {
        self.records().find(|record| record.0 == BINDINGS).map(|record| record.1)
    }
}

/// Splits the first record off: its kind, its bytes, the rest.
fn split(records: &[u8]) -> Option<(u32, &[u8], &[u8])> {
    let (kind, rest) = records.split_first_chunk()?;
    let (length, rest) = rest.split_first_chunk()?;
    let (bytes, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    Some((u32::from_le_bytes(*kind), bytes, rest))
}

/// Returns a name as it is in a header; `None` if it is no module's name.
#[must_use]
pub fn name_field(name: &str) -> Option<[u8; NAME_SIZE]> {
    let is_name = (1..NAME_SIZE).contains(&name.len()) && name.bytes().all(is_name_byte);
    let mut field = [0; NAME_SIZE];
    is_name.then(|| field[..name.len()].copy_from_slice(name.as_bytes()))?;
    Some(field)
}

/// Appends a record.
pub fn push_record(records: &mut Vec<u8>, kind: u32, bytes: &[u8]) {
    records.reserve(RECORD_HEADER_SIZE + bytes.len());
    records.extend(kind.to_le_bytes());
    records.extend((bytes.len() as u32).to_le_bytes());
    records.extend(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_header_and_records() {
        let header = Header { magic: MAGIC, stack_size: 7, ..Header::default() };
        let mut section = header.to_bytes().to_vec();
        push_record(&mut section, BINDINGS, b"abc");
        push_record(&mut section, SIGNATURES, b"");
        let description = Description::read(&section).unwrap();
        assert_eq!(description.header.stack_size, 7);
        assert_eq!(description.records().collect::<Vec<_>>(), [(BINDINGS, &b"abc"[..]), (SIGNATURES, b"")]);
        assert_eq!(description.bindings(), Some(&b"abc"[..]));
    }

    #[test]
    fn refuses_what_is_cut_off() {
        let mut section = Header { magic: MAGIC, ..Header::default() }.to_bytes().to_vec();
        push_record(&mut section, BINDINGS, b"abc");
        for length in [0, 127, 129, section.len() - 1] {
            assert!(Description::read(&section[..length]).is_err(), "{length}");
        }
        section[0] ^= 1;
        assert!(Description::read(&section).unwrap_err().contains("expected 0x4d4f4442"));
    }

    #[test]
    fn refuses_records_that_are_the_engines() {
        for kind in [0, 4, 7, 0x8000_0003, 0x8000_0004, 0x8000_0008, 0x8000_0009, 0x8000_00ff] {
            let mut section = Header { magic: MAGIC, ..Header::default() }.to_bytes().to_vec();
            push_record(&mut section, BINDINGS, b"abc");
            push_record(&mut section, kind, b"abc");
            let refused = Description::read(&section).unwrap_err();
            assert!(refused.contains(&format!("a record of kind {kind:#x}")), "{refused}");
        }
    }

    #[test]
    fn takes_modules_names_only() {
        assert_eq!(name_field("sum").map(|field| field[3]), Some(0));
        for name in ["", "Sum", "a.b", "abcdefghijklmnopqrstuvwxyz-abcdef"] {
            assert_eq!(name_field(name), None, "{name}");
        }
    }
}
