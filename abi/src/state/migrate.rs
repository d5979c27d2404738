//! The state of another version of a module: what it was, and how a new one takes it over.

use super::plain::PlainData;
use super::schema::Schema;
use super::{State, schema};
use crate::context::Context;

/// What the state of another version begins with when it is handed over: major, minor and patch of
/// that version, and the length of its schema. Then the schema follows, and then the state's bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateHeader {
    /// The version.
    pub version: [u32; 3],
    /// Bytes of the schema.
    pub schema_length: u32,
}

impl StateHeader {
    /// Bytes it takes.
    pub const SIZE: usize = 16;

    /// Its bytes, little-endian.
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

/// The state of another version, as a module's `migrate` gets it.
#[derive(Clone, Copy, Debug)]
pub struct PreviousState<'bytes> {
    /// That version: major, minor, patch.
    pub version: [u32; 3],
    /// Its fields.
    pub schema: Schema<'bytes>,
    /// Its bytes.
    pub bytes: &'bytes [u8],
}

impl<'bytes> PreviousState<'bytes> {
    /// Reads what a loader hands over; `None` when it is none such.
    #[must_use]
    pub fn parse(input: &'bytes [u8]) -> Option<PreviousState<'bytes>> {
        let mut rest = input;
        let version = <[u32; 3]>::restore(&mut rest)?;
        let length = u32::restore(&mut rest)?;
        let (schema, bytes) = rest.split_at_checked(length as usize)?;
        let schema = Schema::parse(schema).filter(|schema| schema.size as usize == bytes.len())?;
        Some(PreviousState { version, schema, bytes })
    }

    /// The field of that name, if there was one and it was a `T`.
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

/// What `migrate` is: given the old state, it fills in the new one, and returns 0, or refuses.
type Migrate<S> = fn(&PreviousState<'_>, &mut S) -> i32;

/// What a module returns that can't take a state over: it has no `migrate`, or was handed none.
const NOTHING_TO_MIGRATE: i32 = i32::MIN;

/// Takes over the state that the input holds: as it is where the fields are the
/// same, or else by `migrate`. The result is 0, or the load is refused.
pub fn restore_state<S: State>(state: &mut S, context: &Context<'_>, migrate: Option<Migrate<S>>) -> i32 {
    // Where the fields are the same, nothing but that is looked at: most modules need no more code than this.
    if let Some(restored) = restore_same(context.input()) {
        *state = restored;
        return 0;
    }
    match (migrate, migrate.and_then(|_| PreviousState::parse(context.input()))) {
        (Some(migrate), Some(old)) if old.schema.fingerprint != S::FINGERPRINT => migrate(&old, state),
        _ => NOTHING_TO_MIGRATE,
    }
}

/// The state of a version with the same fields.
fn restore_same<S: State>(mut input: &[u8]) -> Option<S> {
    let (_, schema_length) = (<[u32; 3]>::restore(&mut input)?, u32::restore(&mut input)?);
    let (schema, mut bytes) = input.split_at_checked(schema_length as usize)?;
    let found = Schema::fingerprint_in(schema)?;
    S::restore(&mut bytes).filter(|_| found == S::FINGERPRINT && bytes.is_empty())
}

/// Writes the state to the output; the result is 0, unless there was not room for all of it.
pub fn save_state<S: State>(state: &S, context: &mut Context<'_>) -> i32 {
    let before = context.output_length();
    state.save(&mut |bytes: &[u8]| {
        context.write(bytes);
    });
    if context.output_length() - before == S::SIZE { 0 } else { NOTHING_TO_MIGRATE }
}
