//! The previous state of a module: its encoded form, and its transfer to a new version.

use super::plain::PlainData;
use super::schema::Schema;
use super::{State, schema};
use crate::Context;

/// The header of a transferred state: the version it comes from, and the length of its schema.
///
/// The schema follows, and then the state's bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateHeader {
    /// The version: major, minor, patch.
    pub version: [u32; 3],
    /// The size of the schema, in bytes.
    pub schema_length: u32,
}

impl StateHeader {
    /// The size of the header, in bytes.
    pub const SIZE: usize = 16;

    /// Encodes the header, little-endian.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; StateHeader::SIZE] {
        let mut bytes = [0; StateHeader::SIZE];
        let [major, minor, patch] = self.version;
        for (target, part) in bytes.chunks_exact_mut(4).zip([major, minor, patch, self.schema_length]) {
            target.copy_from_slice(&part.to_le_bytes());
        }
        bytes
    }
}

/// The state of another version, as it is passed to a module's `migrate`.
#[derive(Clone, Copy, Debug)]
pub struct PreviousState<'bytes> {
    /// The version that the state comes from: major, minor, patch.
    pub version: [u32; 3],
    /// The fields of that version.
    pub schema: Schema<'bytes>,
    /// The bytes of the state.
    pub bytes: &'bytes [u8],
}

impl<'bytes> PreviousState<'bytes> {
    /// Parses the input of the transfer; `None` if it is invalid.
    #[must_use]
    pub fn parse(input: &'bytes [u8]) -> Option<PreviousState<'bytes>> {
        let mut rest = input;
        let version = <[u32; 3]>::restore(&mut rest)?;
        let length = u32::restore(&mut rest)?;
        let (schema, bytes) = rest.split_at_checked(length as usize)?;
        let schema = Schema::parse(schema).filter(|schema| schema.size as usize == bytes.len())?;
        Some(PreviousState { version, schema, bytes })
    }

    /// Returns the field `name`, if it existed and was a `T`.
    #[must_use]
    pub fn get<T: PlainData>(&self, name: &str) -> Option<T> {
        let mut rest = self.bytes;
        for schema::Field { name: field, size, fingerprint, .. } in self.schema.fields() {
            let (mut own, behind) = rest.split_at_checked(size as usize)?;
            if field == name {
                return if fingerprint == T::FINGERPRINT { T::restore(&mut own) } else { None };
            }
            rest = behind;
        }
        None
    }
}

/// The type of `migrate`: it fills in the new state from the old one, and returns 0, or refuses.
type Migrate<S> = fn(&PreviousState<'_>, &mut S) -> i32;

/// The result of a module that can't take a state over: it has no `migrate`, or the input is invalid.
const NOTHING_TO_MIGRATE: i32 = i32::MIN;

/// Restores the state from the input: directly if the fields are the same, or else by `migrate`.
///
/// Returns 0, or a result that refuses the load.
pub fn restore_state<S: State>(state: &mut S, context: &Context<'_>, migrate: Option<Migrate<S>>) -> i32 {
    // If the fields are the same, nothing else is read: most modules need no more code than this.
    if let Some(restored) = restore_same(context.input()) {
        *state = restored;
        return 0;
    }
    match (migrate, migrate.and_then(|_| PreviousState::parse(context.input()))) {
        (Some(migrate), Some(old)) if old.schema.fingerprint != S::FINGERPRINT => migrate(&old, state),
        _ => NOTHING_TO_MIGRATE,
    }
}

/// Returns the state if it comes from a version with the same fields.
fn restore_same<S: State>(mut input: &[u8]) -> Option<S> {
    let (_, schema_length) = (<[u32; 3]>::restore(&mut input)?, u32::restore(&mut input)?);
    let (schema, mut bytes) = input.split_at_checked(schema_length as usize)?;
    let found = Schema::fingerprint_in(schema)?;
    S::restore(&mut bytes).filter(|_| found == S::FINGERPRINT && bytes.is_empty())
}

/// Writes the state to the output. Returns 0 if there was room for all of it.
pub fn save_state<S: State>(state: &S, context: &mut Context<'_>) -> i32 {
    let before = context.output_length();
    state.save(&mut |bytes: &[u8]| {
        context.write(bytes);
    });
    if context.output_length() - before == S::SIZE { 0 } else { NOTHING_TO_MIGRATE }
}
