//! Descriptions of the types that cross, of which fingerprints and texts are made.

use crate::fnv::{START, hash_bytes};

/// A type that crosses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TypeInfo {
    /// A type of the language: its name.
    Primitive(&'static str),
    /// An array: its elements' type and their number.
    Array(&'static TypeInfo, usize),
    /// A structure: its name, and its fields' names and types.
    Struct(&'static str, &'static [(&'static str, &'static TypeInfo)]),
    /// An enum: its name, and its variants' names and numbers.
    Enum(&'static str, &'static [(&'static str, i64)]),
}

impl TypeInfo {
    /// Returns the fingerprint: a hash over all but the type's own name, unless it is the language's.
    #[must_use]
    pub const fn fingerprint(&self) -> u64 {
        let (mut state, mut index) = (START, 0);
        match *self {
            TypeInfo::Primitive(name) => hash_bytes(name.as_bytes(), state),
            TypeInfo::Array(element, length) => {
                hash_bytes(&(length as u64).to_le_bytes(), hash_bytes(b"[]", element.fingerprint()))
            }
            TypeInfo::Struct(_, fields) => {
                state = hash_bytes(b"struct", state);
                while index < fields.len() {
                    state = hash_bytes(fields[index].0.as_bytes(), state);
                    state = hash_bytes(&fields[index].1.fingerprint().to_le_bytes(), state);
                    index += 1;
                }
                state
            }
            TypeInfo::Enum(_, variants) => {
                state = hash_bytes(b"enum", state);
                while index < variants.len() {
                    state = hash_bytes(variants[index].0.as_bytes(), state);
                    state = hash_bytes(&variants[index].1.to_le_bytes(), state);
                    index += 1;
                }
                state
            }
        }
    }
}
