//! The ABI's fingerprint: a hash over the names, offsets and sizes of its fields.
//!
//! The fields are those of [`Context`](crate::Context), [`Services`](crate::Services) and
//! [`CallArguments`](crate::CallArguments).
//!
//! It depends only on this crate's declarations, never on the compiler, so a blob stays valid when the compiler
//! changes. A field that is moved without a change of version is noticed, since the loader has the fingerprint of each
//! minor version that it can run.

use crate::call::CALL_FIELDS;
use crate::context::{CONTEXT_FIELDS, SERVICES_FIELDS};
pub use crate::field_layout::FieldLayout;
use crate::fnv::{START, hash_bytes};

/// The fingerprints of all minor versions of this major version, the newest last.
///
/// 1.4 has the layout of 1.3, with events; 1.6 that of 1.5, with devices.
pub const FINGERPRINTS: [u64; crate::ABI_MINOR as usize + 1] = [
    0x8b60_152d_0b28_b9ca,
    0x9ee7_6499_3ea9_c676,
    0xcecd_4129_3e89_3d08,
    0x9e39_f663_af73_d674,
    0x9e39_f663_af73_d674,
    0x449e_ee5a_bb3b_a695,
    0x449e_ee5a_bb3b_a695,
];

/// The fingerprint of the ABI as it is declared here.
pub const FINGERPRINT: u64 = hash(CALL_FIELDS, hash(SERVICES_FIELDS, hash(CONTEXT_FIELDS, START)));

/// The number of fields of `Context`, `Services` and `CallArguments` in each minor version: they only grow at the end.
const COUNTS: [[usize; 3]; FINGERPRINTS.len()] = [
    [9, 4, 0],
    [11, 4, 0],
    [11, 5, CALL_FIELDS.len()],
    [11, 6, CALL_FIELDS.len()],
    [11, 6, CALL_FIELDS.len()],
    [11, 7, CALL_FIELDS.len()],
    [11, 7, CALL_FIELDS.len()],
];

/// Returns the types of a minor version with their names and fields. An unknown version is treated as the newest.
#[must_use]
pub fn layout(minor: u16) -> [(&'static str, &'static [FieldLayout]); 3] {
    let counts = COUNTS.get(usize::from(minor)).unwrap_or(&COUNTS[COUNTS.len() - 1]);
    let types = [("Context", CONTEXT_FIELDS), ("Services", SERVICES_FIELDS), ("CallArguments", CALL_FIELDS)];
    core::array::from_fn(|index| {
        let ((name, fields), count) = (types[index], counts[index]);
        (name, fields.get(..count).unwrap_or(fields))
    })
}

/// Iterates over all fields in the fingerprint, in its order.
pub fn fields() -> impl Iterator<Item = &'static FieldLayout> {
    CONTEXT_FIELDS.iter().chain(SERVICES_FIELDS).chain(CALL_FIELDS)
}

/// Hashes `fields`, continuing from `state`.
const fn hash(fields: &[FieldLayout], mut state: u64) -> u64 {
    let mut index = 0;
    while index < fields.len() {
        let (owner, name, offset, size) = fields[index];
        state = hash_bytes(owner.as_bytes(), state);
        state = hash_bytes(name.as_bytes(), state);
        state = hash_bytes(&(offset as u64).to_le_bytes(), state);
        state = hash_bytes(&(size as u64).to_le_bytes(), state);
        index += 1;
    }
    state
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_layout_of_each_minor_version() {
        for (minor, &released) in (0..).zip(&FINGERPRINTS) {
            let hashed = layout(minor).iter().fold(0xcbf2_9ce4_8422_2325, |state, (_, fields)| hash(fields, state));
            assert_eq!(hashed, released, "1.{minor}");
        }
        assert_eq!(layout(u16::MAX), layout(crate::ABI_MINOR));
    }

    /// A change of layout requires a new minor version (fields added at the end) or a new major version.
    #[test]
    fn is_the_one_this_minor_version_was_released_with() {
        assert_eq!(
            FINGERPRINT,
            FINGERPRINTS[usize::from(crate::ABI_MINOR)],
            "the layout of Context, Services or CallArguments changed: {:#x?}",
            (FINGERPRINT, CONTEXT_FIELDS, SERVICES_FIELDS, CALL_FIELDS)
        );
    }
}
