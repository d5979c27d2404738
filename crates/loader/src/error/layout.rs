//! The differences between the ABI layout of a module and this loader's.

use core::fmt;

use bareflow_abi::fingerprint::{FINGERPRINTS, FieldLayout, layout};
use bareflow_abi::layout_record::Fields;

use crate::printable::Printable;

/// The number of bytes of a field's name that are kept.
const NAME_SIZE: usize = 16;

/// The first field of each ABI type that differs from a minor version's layout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    minor: u16,
    types: [Option<Difference>; 3],
}

/// The first field of a type that differs; on either side there may be none left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Difference {
    /// The field's index in the type, counted from 0.
    index: u8,
    found: Option<FieldExcerpt>,
}

/// A field: the start of its name, its offset and its size, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FieldExcerpt {
    name: [u8; NAME_SIZE],
    length: u8,
    offset: u16,
    size: u16,
}

impl Differences {
    /// Compares a blob's layout with that of this loader's version 1.`minor`.
    ///
    /// The blob's layout is that of the released version with this `fingerprint`, or else the one `described`
    /// by its record; if that is empty, nothing is known of it.
    pub(crate) fn find(minor: u16, fingerprint: u64, described: &[u8]) -> Differences {
        let released = (0..).zip(FINGERPRINTS).find(|(_, known)| *known == fingerprint).map(|(version, _)| version);
        let expected = layout(minor);
        let types = match (released, described) {
            (Some(version), _) => {
                let found = layout(version);
                core::array::from_fn(|index| {
                    first(expected[index].1, found[index].1.iter().map(FieldExcerpt::declared))
                })
            }
            (None, []) => [None; 3],
            (None, described) => expected.map(|(owner, fields)| {
                let of_it = Fields::new(described).filter(|field| field.owner == owner.as_bytes());
                first(fields, of_it.map(|field| FieldExcerpt::new(field.name, field.offset, field.size)))
            }),
        };
        Differences { minor, types }
    }
}

/// Returns the first difference between two lists of fields.
fn first(expected: &[FieldLayout], mut found: impl Iterator<Item = FieldExcerpt>) -> Option<Difference> {
    let mut expected = expected.iter().map(FieldExcerpt::declared);
    for index in 0..=u8::MAX {
        match (expected.next(), found.next()) {
            (None, None) => break,
            (expected, found) if expected != found => return Some(Difference { index, found }),
            _ => {}
        }
    }
    None
}

impl FieldExcerpt {
    fn new(bytes: &[u8], offset: u16, size: u16) -> FieldExcerpt {
        let mut name = [0; NAME_SIZE];
        name.iter_mut().zip(bytes).for_each(|(target, byte)| *target = *byte);
        // The length is at most 16.
        FieldExcerpt { name, length: bytes.len().min(NAME_SIZE) as u8, offset, size }
    }

    fn declared(&(_, name, offset, size): &FieldLayout) -> FieldExcerpt {
        // The ABI types are smaller than 64 KiB.
        FieldExcerpt::new(name.as_bytes(), offset as u16, size as u16)
    }
}

/// Shows `; Context: expected heap at 64 (8 bytes), found no further field` for each type that differs.
impl fmt::Display for Differences {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ((owner, fields), difference) in layout(self.minor).iter().zip(self.types) {
            if let Some(Difference { index, found }) = difference {
                let expected = fields.get(usize::from(index)).map(FieldExcerpt::declared);
                write!(out, "; {owner}: expected {}, found {}", FieldOrNone(expected), FieldOrNone(found))?;
            }
        }
        Ok(())
    }
}

/// A field, or the statement that there is none.
struct FieldOrNone(Option<FieldExcerpt>);

impl fmt::Display for FieldOrNone {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(FieldExcerpt { name, length, offset, size }) = &self.0 else {
            return out.write_str("no further field");
        };
        let name = Printable(name.get(..usize::from(*length)).unwrap_or_default());
        write!(out, "{name} at {offset} ({size} bytes)")
    }
}
