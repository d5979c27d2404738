//! Which fields a state has: as a record of the blob, and as the loader and a
//! module that migrates read it.

use super::plain::START;
use crate::fingerprint::hash_bytes;

/// The section a module's schema lies in; the packer makes a record of it and drops it.
pub const SCHEMA_SECTION: &str = ".bareflow.state";

/// Bytes before the fields: size of the state, number of fields, fingerprint.
const HEADER: usize = 16;

/// Bytes of a field before its name and its type: size, fingerprint, and their lengths.
const FIELD_HEADER: usize = 14;

/// One field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'schema> {
    /// Its name.
    pub name: &'schema str,
    /// Its type, as it was written.
    pub kind: &'schema str,
    /// Its bytes.
    pub size: u32,
    /// What tells its type from another one, however it was written.
    pub fingerprint: u64,
}

/// A schema, as it stands in a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schema<'bytes> {
    /// Bytes of the state.
    pub size: u32,
    /// The same fingerprint means the same fields.
    pub fingerprint: u64,
    fields: &'bytes [u8],
}

/// The fields of a schema.
#[derive(Clone, Debug)]
pub struct Fields<'bytes>(&'bytes [u8]);

impl<'bytes> Schema<'bytes> {
    /// Reads a schema; `None` when `bytes` are none.
    #[must_use]
    pub fn parse(bytes: &'bytes [u8]) -> Option<Schema<'bytes>> {
        let (header, fields) = bytes.split_first_chunk::<HEADER>()?;
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *header;
        let schema = Schema {
            size: u32::from_le_bytes([a, b, c, d]),
            fingerprint: u64::from_le_bytes([i, j, k, l, m, n, o, p]),
            fields,
        };
        // Every field is whole, none is left over, and their sizes add up.
        let (mut count, mut size, mut rest) = (0_u32, 0_u32, Fields(fields));
        for field in rest.by_ref() {
            count += 1;
            size = size.checked_add(field.size)?;
        }
        let whole = rest.0.is_empty() && count == u32::from_le_bytes([e, f, g, h]) && size == schema.size;
        whole.then_some(schema)
    }

    /// The fingerprint in the bytes of a schema, whatever else they are.
    #[must_use]
    pub fn fingerprint_in(bytes: &[u8]) -> Option<u64> {
        let [_, _, _, _, _, _, _, _, i, j, k, l, m, n, o, p] = *bytes.first_chunk::<HEADER>()?;
        Some(u64::from_le_bytes([i, j, k, l, m, n, o, p]))
    }

    /// Its fields, in order.
    #[must_use]
    pub const fn fields(&self) -> Fields<'bytes> {
        Fields(self.fields)
    }

    /// The fingerprint of these fields: a hash over names, sizes and types.
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

/// Bytes that a schema of these fields takes.
#[must_use]
pub const fn schema_size(fields: &[Field<'_>]) -> usize {
    let (mut size, mut index) = (HEADER, 0);
    while index < fields.len() {
        size += FIELD_HEADER + fields[index].name.len() + fields[index].kind.len();
        index += 1;
    }
    size
}

/// The schema of these fields, in exactly as many bytes as [`schema_size`] says. Names and types are at most 255 bytes long.
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

/// Writes `part` at `position`, and says where it ends.
const fn put(bytes: &mut [u8], position: usize, part: &[u8]) -> usize {
    let mut index = 0;
    while index < part.len() {
        bytes[position + index] = part[index];
        index += 1;
    }
    position + part.len()
}
