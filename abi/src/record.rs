//! The records behind a blob's fix-ups: kind, length and bytes.

/// Bytes before a record's own: its kind and its length, a `u32` each.
pub const RECORD_HEADER_SIZE: usize = 8;

/// Set in the kind of a record that a loader which does not know it may skip.
/// A record without it that is unknown makes the loader refuse the blob.
pub const SKIPPABLE: u32 = 1 << 31;

/// Modules that the module may call: [`Dependencies`](crate::depends::Dependencies). Since ABI 1.2.
pub const DEPENDENCIES: u32 = 1;

/// Four bytes, a little-endian `i32`: what the module's run is expected to
/// return. Whoever tries the module out may compare; a loader has no use for it.
pub const EXPECTED_RESULT: u32 = SKIPPABLE | 1;

/// A [`Schema`](crate::state::Schema): which fields the module's state has.
pub const STATE_SCHEMA: u32 = SKIPPABLE | 2;

/// The module's code for processors of a higher level: a [`VariantHeader`](crate::variant::VariantHeader), then
/// its segments and fix-ups. A loader that does not know it takes the blob's own segments.
pub const VARIANT: u32 = SKIPPABLE | 3;

/// The functions of the code before it: the blob's own, or that of the variant right before. A list of
/// [`Symbol`](crate::symbols::Symbol)s, for people who look for a fault.
pub const SYMBOLS: u32 = SKIPPABLE | 4;

/// The layout the module was built against, where its fingerprint is none of a released ABI:
/// [`Fields`](crate::layout_record::Fields). It is looked at only for the message of a refusal.
pub const LAYOUT: u32 = SKIPPABLE | 5;
