//! Errors of the second stage: well-formed modules that may not be loaded here.

#[cfg(feature = "portable")]
use bareflow_abi::carry::BadCarry;
use bareflow_abi::depends::{BadDependency, MAX_DEPENDENCIES};
#[cfg(feature = "devices")]
use bareflow_abi::devices::{BadDevice, MAX_DEVICES};
use bareflow_abi::events::BadEvent;
use bareflow_abi::header::NAME_SIZE;
use bareflow_abi::interface::bindings::{BadBinding, MAX_METHODS};
#[cfg(feature = "memory")]
use bareflow_abi::memory::BadMemory;
use bareflow_abi::parameters::{BadParameter, MAX_PARAMETERS};
use bareflow_abi::symbols::{BadSymbol, MAX_SYMBOL_NAME};
use bareflow_abi::traps::BadTrap;
use bareflow_abi::{ABI_MAJOR, ABI_MINOR};

use super::{BadCode, BadVariant, Differences, REBUILD};
use crate::name::MAX_NAME_LENGTH;
use crate::policy::permissions::ServiceNames;

/// A well-formed module that may not be loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidModule {
    /// The checksum is wrong: the file has been changed.
    #[error("checksum mismatch: header says {expected:#010x}, computed {found:#010x}; {REBUILD}")]
    Checksum {
        /// The checksum of the file as it is.
        found: u32,
        /// The checksum in the header.
        expected: u32,
    },
    /// The ABI's major version is another one.
    #[error(
        "wrong ABI: major version {} ({}.{}), expected {ABI_MAJOR} (up to {ABI_MAJOR}.{ABI_MINOR}){differs}; rebuild \
         the module against this bareflow-abi",
        .found.0, .found.0, .found.1
    )]
    AbiMajor {
        /// The module's ABI version: major and minor.
        found: (u16, u16),
        /// The differences between the module's layout and this loader's newest, as far as they are known.
        differs: Differences,
    },
    /// The ABI's minor version is newer than this loader's.
    #[error(
        "wrong ABI: version {ABI_MAJOR}.{found}, this loader knows up to {ABI_MAJOR}.{ABI_MINOR}{differs}; rebuild the \
         module against this bareflow-abi or update the loader"
    )]
    AbiMinor {
        /// The module's minor version.
        found: u16,
        /// The differences between the module's layout and this loader's newest, as far as they are known.
        differs: Differences,
    },
    /// The module was built against a layout that is not that of its ABI version.
    #[error(
        "wrong ABI: version {ABI_MAJOR}.{minor} with fingerprint {found:#018x}, expected {expected:#018x} (this loader \
         has {ABI_MAJOR}.{ABI_MINOR}){differs}; rebuild the module against a released bareflow-abi"
    )]
    AbiFingerprint {
        /// The module's fingerprint.
        found: u64,
        /// The fingerprint of its ABI version.
        expected: u64,
        /// The minor part of its ABI version.
        minor: u16,
        /// The differences between the module's layout and that of its ABI version, as far as they are known.
        differs: Differences,
    },
    /// The name breaks the naming rule.
    #[error(
        "bad name: \"{}\", expected 1 to {MAX_NAME_LENGTH} of a-z, 0-9, _ and -; {REBUILD}",
        without_padding(found)
    )]
    Name {
        /// The bytes of the header's field.
        found: [u8; NAME_SIZE],
    },
    /// The version is 0.0.0.
    #[error("no version: 0.0.0; give the module's Cargo.toml a version")]
    Version,
    /// The entry or the fix-ups are invalid.
    #[error(transparent)]
    Code(#[from] BadCode),
    /// A variant for a higher processor level is invalid.
    #[error("bad variant for x86-64-v{level}: {why}")]
    Variant {
        /// The variant's level.
        level: u8,
        /// The reason.
        why: BadVariant,
    },
    /// The module has no `run`, and exports nothing.
    #[error("nothing to call: no run and no exports, expected one of the two; {REBUILD}")]
    NothingToCall,
    /// The state's schema can't be read, appears twice, or is missing or present against the flags.
    #[error(
        "bad state schema: expected one record that lists the state's fields exactly where the flags announce a state; \
         {REBUILD}"
    )]
    StateSchema,
    /// The state is larger than the module's data.
    #[error("a state of {found} bytes in {data} bytes of data, expected no more than those; {REBUILD}")]
    StateSize {
        /// The size of the state by its schema, in bytes.
        found: u32,
        /// The size of data and bss, in bytes.
        data: u32,
    },
    /// An entry of the dependency list is invalid.
    #[error(
        "bad dependency: number {number}: {}, expected at most {MAX_DEPENDENCIES} other modules' names, each once, and \
         an interval of versions; {REBUILD}",
        .why.what()
    )]
    Dependency {
        /// The entry's number, counted from 1.
        number: usize,
        /// The reason.
        why: BadDependency,
    },
    /// There is more than one dependency list.
    #[error("two lists of dependencies, expected one at most; {REBUILD}")]
    TwoDependencyLists,
    /// A parameter in the list is invalid.
    #[error(
        "bad parameter: number {number}: {}, expected at most {MAX_PARAMETERS} names, each once, and defaults within \
         bounds; {REBUILD}",
        .why.what()
    )]
    Parameter {
        /// The parameter's number, counted from 1.
        number: usize,
        /// The reason.
        why: BadParameter,
    },
    /// There is more than one list of parameters.
    #[error("two lists of parameters, expected one at most; {REBUILD}")]
    TwoParameterLists,
    /// An entry of the bindings is invalid.
    #[error(
        "bad import or export: number {number}: {}, expected interfaces with at most {MAX_METHODS} methods; {REBUILD}",
        .why.what()
    )]
    Binding {
        /// The entry's number, counted from 1.
        number: usize,
        /// The reason.
        why: BadBinding,
    },
    /// There is more than one record of bindings.
    #[error("two records of imports and exports, expected one at most; {REBUILD}")]
    TwoBindings,
    /// An entry of the record of events is invalid.
    #[error("bad event: number {number}: {}; {REBUILD}", .why.what())]
    Event {
        /// The entry's number, counted from 1.
        number: usize,
        /// The reason.
        why: BadEvent,
    },
    /// A device is invalid.
    #[cfg(feature = "devices")]
    #[error(
        "bad devices: number {number}: {}, expected at most {MAX_DEVICES}, each as package.metadata.bareflow.devices has it; \
         {REBUILD}",
        .why.what()
    )]
    Device {
        /// The entry's number, counted from 1.
        number: usize,
        /// The reason.
        why: BadDevice,
    },
    /// There is more than one record of devices.
    #[cfg(feature = "devices")]
    #[error("two records of devices, expected one at most; {REBUILD}")]
    TwoDeviceLists,
    /// There is more than one record of events.
    #[error("two records of events, expected one at most; {REBUILD}")]
    TwoEvents,
    /// An entry of a symbol list is invalid.
    #[error(
        "bad symbols for x86-64-v{level}: number {number}: {}, expected functions in the order of their addresses, \
         with names of at most {MAX_SYMBOL_NAME} bytes; {REBUILD}",
        .why.what()
    )]
    Symbol {
        /// The processor level of the code that the list belongs to.
        level: u8,
        /// The entry's number, counted from 1.
        number: usize,
        /// The reason.
        why: BadSymbol,
    },
    /// There is more than one symbol list for the same code.
    #[error("two lists of symbols for x86-64-v{level}, expected one at most; {REBUILD}")]
    TwoSymbolLists {
        /// The processor level of the code.
        level: u8,
    },
    /// An entry of a list of trap sites is invalid.
    #[error(
        "bad trap site for x86-64-v{level}: number {number}: {}, expected known kinds in the order of their addresses; \
         {REBUILD}",
        .why.what()
    )]
    TrapSite {
        /// The processor level of the code that the list belongs to.
        level: u8,
        /// The entry's number, counted from 1.
        number: usize,
        /// The reason.
        why: BadTrap,
    },
    /// There is more than one list of trap sites for the same code.
    #[error("two lists of trap sites for x86-64-v{level}, expected one at most; {REBUILD}")]
    TwoTrapLists {
        /// The processor level of the code.
        level: u8,
    },
    /// The record of the linear memory is invalid.
    #[cfg(feature = "memory")]
    #[error("bad linear memory: {}, expected two words in the data and pages up to a maximum; {REBUILD}", .why.what())]
    Memory {
        /// The reason.
        why: BadMemory,
    },
    /// There is more than one record of a linear memory.
    #[cfg(feature = "memory")]
    #[error("two records of a linear memory, expected one at most; {REBUILD}")]
    TwoMemories,
    /// The list of carried areas is invalid.
    #[cfg(feature = "portable")]
    #[error("bad list of carried areas: {}, expected areas in the module's data; use another engine", why.what())]
    Carry {
        /// The reason.
        why: BadCarry,
    },
    /// There is more than one list of carried areas.
    #[cfg(feature = "portable")]
    #[error("two lists of carried areas, expected one at most; use another engine")]
    TwoCarries,
    /// A record extends beyond the end of the file.
    #[error("record cut off: it does not fit the {left} bytes left; {REBUILD}")]
    RecordCutOff {
        /// The number of bytes left for it.
        left: usize,
    },
    /// A record is of an unknown kind that may not be skipped.
    #[error("unknown record: kind {found:#x} may not be skipped; the module needs a newer loader")]
    UnknownRecord {
        /// The record's kind.
        found: u32,
    },
    /// The module declares services that are unknown or not offered here.
    #[error(
        "services not offered: {}, offered: {}; run the module where they are, or remove them from its needs",
        ServiceNames(*missing), ServiceNames(*offered)
    )]
    Services {
        /// The bits of the services that are missing.
        missing: u32,
        /// The bits of the services that are offered.
        offered: u32,
    },
    /// The code needs a higher processor level than this machine has.
    #[error(
        "CPU level not available: x86-64-v{found}, this machine has x86-64-v{available}; build the module for \
         x86-64-v{available} or lower"
    )]
    CpuLevel {
        /// The x86-64 level that the module needs.
        found: u8,
        /// The x86-64 level of this machine.
        available: u8,
    },
}

/// Returns a name without the zeros after it.
fn without_padding(name: &[u8; NAME_SIZE]) -> core::slice::EscapeAscii<'_> {
    let end = name.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    name.get(..end).unwrap_or_default().escape_ascii()
}
