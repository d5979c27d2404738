//! The records after a blob's fix-ups: kind, length and bytes.

/// The size of a record's header, in bytes: its kind and its length, a `u32` each.
pub const RECORD_HEADER_SIZE: usize = 8;

/// The bit of a record's kind that lets a loader skip it if the kind is unknown.
///
/// A loader refuses a blob with an unknown record without this bit.
pub const SKIPPABLE: u32 = 1 << 31;

/// The modules that the module may call: [`Dependencies`](crate::depends::Dependencies). Since ABI 1.2.
pub const DEPENDENCIES: u32 = 1;

/// The interfaces that the module imports and exports: [`Entries`](crate::interface::bindings::Entries). Since ABI 1.3.
pub const BINDINGS: u32 = 2;

/// The timers, subscriptions and notifications of the module: [`Events`](crate::events::Events). Since ABI 1.4.
pub const EVENTS: u32 = 3;

/// The linear memory of the module: a [`MemoryRecord`](crate::memory::MemoryRecord). Since ABI 1.5.
pub const MEMORY: u32 = 4;

/// The devices that the module drives: [`Devices`](crate::devices::Devices). Since ABI 1.6.
pub const DEVICES: u32 = 5;

/// The expected result of the module's run, as a little-endian `i32`.
///
/// Tests of the module may compare it; loaders ignore it.
pub const EXPECTED_RESULT: u32 = SKIPPABLE | 1;

/// The [`Schema`](crate::state::Schema) of the module's state.
pub const STATE_SCHEMA: u32 = SKIPPABLE | 2;

/// The module's code for a higher processor level.
///
/// A [`VariantHeader`](crate::variant::VariantHeader), then segments and fix-ups.
///
/// A loader that does not know this record uses the blob's own code.
pub const VARIANT: u32 = SKIPPABLE | 3;

/// The functions of the preceding code, for diagnoses: a list of [`Symbol`](crate::symbols::Symbol)s.
///
/// The preceding code is the blob's own, or that of the variant right before.
pub const SYMBOLS: u32 = SKIPPABLE | 4;

/// The layout that the module was built against, if its fingerprint is not that of a released ABI:
/// [`Fields`](crate::layout_record::Fields).
///
/// It is used only in the message of a refusal.
pub const LAYOUT: u32 = SKIPPABLE | 5;

/// The signatures of the methods in the module's bindings, as text.
///
/// Loaders use it for messages only.
pub const SIGNATURES: u32 = SKIPPABLE | 6;

/// The [`Parameters`](crate::parameters::Parameters) that may be set when the module is loaded. Since ABI 1.3.
///
/// A loader that does not know this record calls the module with the defaults.
pub const PARAMETERS: u32 = SKIPPABLE | 7;

/// The trap sites of the preceding code, for the kinds of faults: a list of [`TrapSite`](crate::traps::TrapSite)s.
///
/// The preceding code is the blob's own, or that of the variant right before.
pub const TRAPS: u32 = SKIPPABLE | 8;

/// The areas that are carried from one image of a compiled module to another: [`Carry`](crate::carry::Carry).
///
/// A loader that does not know this record starts such a module afresh.
pub const CARRY: u32 = SKIPPABLE | 9;
