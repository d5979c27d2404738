//! The layout that a module was built against, field by field.
//!
//! It is a record of blobs whose fingerprint is not that of a released ABI, and lets a loader show the differences. An
//! entry is the lengths of the names of type and field (a byte each), the field's offset and its size in bytes (a `u16`
//! each), then the two names.

use crate::call::CALL_FIELDS;
use crate::const_bytes::put;
use crate::context::{CONTEXT_FIELDS, SERVICES_FIELDS};
use crate::fingerprint::FieldLayout;

/// The section of a module's layout; the packer reads it and drops it.
pub const LAYOUT_SECTION: &str = ".bareflow.layout";

/// The size of an entry before its names, in bytes.
const ENTRY_SIZE: usize = 6;

/// The size of the encoded layout of this version of the crate, in bytes.
pub const LAYOUT_SIZE: usize = size_of_all(CONTEXT_FIELDS) + size_of_all(SERVICES_FIELDS) + size_of_all(CALL_FIELDS);

/// The encoded layout of this version of the crate.
pub const LAYOUT: [u8; LAYOUT_SIZE] = {
    let mut bytes = [0; LAYOUT_SIZE];
    let end = encode(CONTEXT_FIELDS, &mut bytes, 0);
    let end = encode(SERVICES_FIELDS, &mut bytes, end);
    encode(CALL_FIELDS, &mut bytes, end);
    bytes
};

const fn size_of_all(fields: &[FieldLayout]) -> usize {
    let (mut size, mut index) = (0, 0);
    while index < fields.len() {
        let (owner, name, ..) = fields[index];
        size += ENTRY_SIZE + owner.len() + name.len();
        index += 1;
    }
    size
}

const fn encode(fields: &[FieldLayout], bytes: &mut [u8], mut at: usize) -> usize {
    let mut index = 0;
    while index < fields.len() {
        let (owner, name, offset, size) = fields[index];
        let [offset, size] = [(offset as u16).to_le_bytes(), (size as u16).to_le_bytes()];
        let head = [owner.len() as u8, name.len() as u8, offset[0], offset[1], size[0], size[1]];
        at = put(bytes, at, &head);
        at = put(bytes, at, owner.as_bytes());
        at = put(bytes, at, name.as_bytes());
        index += 1;
    }
    at
}

/// A field in an encoded layout, not validated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldEntry<'bytes> {
    /// The name of the type that the field belongs to.
    pub owner: &'bytes [u8],
    /// The field's name.
    pub name: &'bytes [u8],
    /// The field's offset, in bytes.
    pub offset: u16,
    /// The field's size, in bytes.
    pub size: u16,
}

/// An iterator over the fields of a layout; it ends at the first that is cut off.
#[derive(Clone, Debug)]
pub struct Fields<'bytes>(&'bytes [u8]);

impl<'bytes> Fields<'bytes> {
    /// Creates an iterator over an encoded layout.
    #[must_use]
    pub const fn new(bytes: &'bytes [u8]) -> Fields<'bytes> {
        Fields(bytes)
    }
}

impl<'bytes> Iterator for Fields<'bytes> {
    type Item = FieldEntry<'bytes>;

    fn next(&mut self) -> Option<FieldEntry<'bytes>> {
        let (&[owner, name, a, b, c, d], rest) = self.0.split_first_chunk::<ENTRY_SIZE>()?;
        let (owner, rest) = rest.split_at_checked(owner.into())?;
        let (name, rest) = rest.split_at_checked(name.into())?;
        self.0 = rest;
        Some(FieldEntry { owner, name, offset: u16::from_le_bytes([a, b]), size: u16::from_le_bytes([c, d]) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn describes_every_field() {
        let read = Fields::new(&LAYOUT);
        let mut declared = crate::fingerprint::fields();
        for found in read {
            let &(owner, name, offset, size) = declared.next().unwrap();
            let expected = FieldEntry {
                owner: owner.as_bytes(),
                name: name.as_bytes(),
                offset: u16::try_from(offset).unwrap(),
                size: u16::try_from(size).unwrap(),
            };
            assert_eq!(found, expected);
        }
        assert_eq!(declared.next(), None);
    }

    #[test]
    fn ends_where_it_is_cut_off() {
        let whole = Fields::new(&LAYOUT).count();
        assert_eq!(Fields::new(&LAYOUT[..LAYOUT_SIZE - 1]).count(), whole - 1);
        assert_eq!(Fields::new(&LAYOUT[..5]).count(), 0);
    }
}
