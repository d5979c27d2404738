//! The schema of a state: a record of the blob, read by the loader and by modules that migrate.

use crate::const_bytes::put;
use crate::fnv::{START, hash_bytes};

/// The section of a module's schema; the packer makes a record of it and drops it.
pub const SCHEMA_SECTION: &str = ".bareflow.state";

/// The size of a schema before the fields, in bytes: size of the state, number of fields, fingerprint.
const HEADER: usize = 16;

/// The size of a field before its name and its type, in bytes: size, fingerprint, and the lengths of both.
const FIELD_HEADER: usize = 14;

/// A field of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'schema> {
    /// The field's name.
    pub name: &'schema str,
    /// The field's type, as it was written.
    pub kind: &'schema str,
    /// The field's size, in bytes.
    pub size: u32,
    /// The fingerprint of the type, independent of how the type is written.
    pub fingerprint: u64,
}

/// A parsed schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schema<'bytes> {
    /// The size of the state, in bytes.
    pub size: u32,
    /// The fingerprint of the fields: equal fingerprints mean equal fields.
    pub fingerprint: u64,
    fields: &'bytes [u8],
}

/// An iterator over the fields of a schema.
#[derive(Clone, Debug)]
pub struct Fields<'bytes>(&'bytes [u8]);

impl<'bytes> Schema<'bytes> {
    /// Parses a schema; `None` if `bytes` are invalid.
    #[must_use]
    pub fn parse(bytes: &'bytes [u8]) -> Option<Schema<'bytes>> {
        let (header, fields) = bytes.split_first_chunk::<HEADER>()?;
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *header;
        let schema = Schema {
            size: u32::from_le_bytes([a, b, c, d]),
            fingerprint: u64::from_le_bytes([i, j, k, l, m, n, o, p]),
            fields,
        };
        // Every field must be complete, no bytes may be left over, and the sizes must add up.
        let (mut count, mut size, mut rest) = (0_u32, 0_u32, Fields(fields));
        for field in rest.by_ref() {
            count += 1;
            size = size.checked_add(field.size)?;
        }
        let whole = rest.0.is_empty() && count == u32::from_le_bytes([e, f, g, h]) && size == schema.size;
        whole.then_some(schema)
    }

    /// Returns the fingerprint in the bytes of a schema, without validating the rest.
    #[must_use]
    pub fn fingerprint_in(bytes: &[u8]) -> Option<u64> {
        let [_, _, _, _, _, _, _, _, i, j, k, l, m, n, o, p] = *bytes.first_chunk::<HEADER>()?;
        Some(u64::from_le_bytes([i, j, k, l, m, n, o, p]))
    }

    /// Returns the fields, in order.
    #[must_use]
    pub const fn fields(&self) -> Fields<'bytes> {
        Fields(self.fields)
    }

    /// Computes the fingerprint of `fields`: a hash over names, sizes and types.
    #[must_use]
    pub const fn fingerprint_of(fields: &[Field<'_>]) -> u64 {
        let (mut state, mut index) = (START, 0);
        while index < fields.len() {
            let field = &fields[index];
            state = hash_bytes(field.name.as_bytes(), state);
            state = hash_bytes(&field.size.to_le_bytes(), state);
            state = hash_bytes(&field.fingerprint.to_le_bytes(), state);
            index += 1;
        }
        state
    }
}

impl<'bytes> Iterator for Fields<'bytes> {
    type Item = Field<'bytes>;

    fn next(&mut self) -> Option<Field<'bytes>> {
        let (header, rest) = self.0.split_first_chunk::<FIELD_HEADER>()?;
        let [a, b, c, d, e, f, g, h, i, j, k, l, name, kind] = *header;
        let (name, rest) = rest.split_at_checked(name.into())?;
        let (kind, rest) = rest.split_at_checked(kind.into())?;
        let (name, kind) = (core::str::from_utf8(name).ok()?, core::str::from_utf8(kind).ok()?);
        self.0 = rest;
        let fingerprint = u64::from_le_bytes([e, f, g, h, i, j, k, l]);
        Some(Field { name, kind, size: u32::from_le_bytes([a, b, c, d]), fingerprint })
    }
}

/// Returns the size of the schema of `fields`, in bytes.
#[must_use]
pub const fn schema_size(fields: &[Field<'_>]) -> usize {
    let (mut size, mut index) = (HEADER, 0);
    while index < fields.len() {
        size += FIELD_HEADER + fields[index].name.len() + fields[index].kind.len();
        index += 1;
    }
    size
}

/// Encodes the schema of `fields` in exactly [`schema_size`] bytes. Names and types have at most 255 bytes.
#[must_use]
pub const fn encode<const N: usize>(fields: &[Field<'_>]) -> [u8; N] {
    let mut bytes = [0; N];
    let (mut size, mut position, mut index) = (0, HEADER, 0);
    while index < fields.len() {
        let field = &fields[index];
        assert!(field.name.len() <= 255 && field.kind.len() <= 255, "names and types have at most 255 bytes");
        position = put(&mut bytes, position, &field.size.to_le_bytes());
        position = put(&mut bytes, position, &field.fingerprint.to_le_bytes());
        position = put(&mut bytes, position, &[field.name.len() as u8, field.kind.len() as u8]);
        position = put(&mut bytes, position, field.name.as_bytes());
        position = put(&mut bytes, position, field.kind.as_bytes());
        size += field.size;
        index += 1;
    }
    put(&mut bytes, 0, &size.to_le_bytes());
    put(&mut bytes, 4, &(fields.len() as u32).to_le_bytes());
    put(&mut bytes, 8, &Schema::fingerprint_of(fields).to_le_bytes());
    bytes
}
