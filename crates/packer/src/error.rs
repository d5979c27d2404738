//! The errors of packing, and the remedies.

use bareflow_abi::depends::{BadDependency, MAX_DEPENDENCIES};
use bareflow_abi::devices::{BadDevice, MAX_DEVICES, virtio_name};
use bareflow_abi::entry::ENTRY_SYMBOL;
use bareflow_abi::events::{BadEvent, MAX_EVENTS};
use bareflow_abi::header::NAME_SIZE;
use bareflow_abi::interface::bindings::{BadBinding, MAX_SELECTOR};
use bareflow_abi::parameters::BadParameter;
use bareflow_abi::portable::{ENTRY, IMPORT_MODULE, IMPORTS, RUN};
use bareflow_abi::{ABI_MAJOR, ABI_MINOR};

/// The reason for which a module can't be packed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PackError {
    /// The name breaks the naming rule.
    #[error(
        "bad name: \"{found}\" ({} bytes), expected 1 to {} of a-z, 0-9, _ and -; change `name` in the module's \
         Cargo.toml",
        .found.len(), NAME_SIZE - 1
    )]
    Name {
        /// The name.
        found: String,
    },
    /// The version is 0.0.0.
    #[error("no version: 0.0.0; set `version` in the module's Cargo.toml")]
    NoVersion,
    /// The file is no readable ELF file.
    #[error("not a readable ELF file: {reason}; remove the build directory and build again")]
    NotElf {
        /// The error of the reader.
        reason: String,
    },
    /// The file is for another machine, or is not a position-independent executable.
    #[error("wrong kind of ELF file: {found}, expected a position-independent x86-64 executable")]
    WrongKind {
        /// The kind that was found.
        found: String,
    },
    /// The file is no readable WebAssembly.
    #[error("not readable WebAssembly: {part}; remove the build directory and build again")]
    NotWasm {
        /// The part that can't be read.
        part: &'static str,
    },
    /// No engine provides an import.
    #[error(
        "import {name} of {module}: no engine provides it, expected one of {IMPORT_MODULE}: {}, with the types in \
         docs/portable.md; drop what imports it",
        IMPORTS.map(|import| import.name).join(", ")
    )]
    NotProvided {
        /// The module that it is imported from.
        module: String,
        /// The name.
        name: String,
    },
    /// The file exports no function that an engine calls.
    #[error("nothing to call: it exports neither {ENTRY} nor {RUN}; export the latter")]
    NothingExported,
    /// The module uses memory that others have, too, and is to be portable.
    #[error(
        "imports {interface}: shared memory lies outside of the memory of a portable module, which can't reach it; build it as \
         a native module, without `portable`"
    )]
    OutsideMemory {
        /// The interface that leads to such memory.
        interface: &'static str,
    },
    /// Some symbols are not defined.
    #[error("{}", undefined(symbols))]
    UndefinedSymbols {
        /// The names of the symbols.
        symbols: Vec<String>,
    },
    /// The module uses thread-local storage.
    #[error("thread-local storage: {symbol}; a module has no threads of its own: use an ordinary static")]
    ThreadLocal {
        /// The thread-local symbol, or its section.
        symbol: String,
    },
    /// A relocation needs a dynamic linker.
    #[error(
        "relocation of type {kind} for {symbol} in {section}, expected only R_X86_64_RELATIVE (8) outside .text; refer \
         to {symbol} by an ordinary Rust path or reference, not by assembly or a weak symbol"
    )]
    Relocation {
        /// The ELF number of the relocation's type.
        kind: u32,
        /// The symbol that it refers to, or the one that contains it.
        symbol: String,
        /// The section that contains it.
        section: String,
    },
    /// A dependency is invalid.
    #[error(
        "dependency \"{found}\": {}, expected the names of at most {MAX_DEPENDENCIES} other modules; change \
         package.metadata.bareflow.depends in the module's Cargo.toml",
        .why.what()
    )]
    Dependency {
        /// The dependency's name.
        found: String,
        /// The reason.
        why: BadDependency,
    },
    /// A device can't be one.
    #[error(
        "device \"{found}\": {}, expected {}; change package.metadata.bareflow.devices in the module's Cargo.toml",
        .why.what(),
        expected_device(*.why)
    )]
    Device {
        /// The device, as the settings have it.
        found: String,
        /// The reason.
        why: BadDevice,
    },
    /// A variant can't be packed.
    #[error("its variant for x86-64-v{level}: {error}")]
    Variant {
        /// The variant's level.
        level: u8,
        /// The reason.
        #[source]
        error: Box<PackError>,
    },
    /// The level of a variant does not exist, or is not above that of the code before it.
    #[error("a variant for x86-64-v{found} behind code for x86-64-v{behind}, expected rising levels up to 4")]
    VariantLevel {
        /// The variant's level.
        found: u8,
        /// The level before it.
        behind: u8,
    },
    /// A variant belongs to another module: built against another ABI, with other flags, imports, exports, events or another state.
    #[error(
        "its variant for x86-64-v{level} has other flags or another state; let neither depend on the target's features"
    )]
    VariantDiffers {
        /// The variant's level.
        level: u8,
    },
    /// The entry is missing.
    #[error("missing entry: no symbol {ENTRY_SYMBOL}; write `bareflow_abi::module!(function);` in src/lib.rs")]
    MissingEntry,
    /// The descriptor is missing.
    #[error("missing descriptor: the entry does not come from `bareflow_abi::module!`; use the macro")]
    MissingDescriptor,
    /// The schema of the state is invalid.
    #[error("{length} bytes that are no schema of a state; declare it once, by `bareflow_abi::state!` and `module!`")]
    StateSchema {
        /// The length of the schema, in bytes.
        length: usize,
    },
    /// The list of parameters is invalid.
    #[error(
        "parameter number {number}: {}; declare parameters once, by `bareflow_abi::parameters!` and `module!`",
        .why.what()
    )]
    Parameter {
        /// The parameter's number, counted from 1.
        number: usize,
        /// The reason.
        why: BadParameter,
    },
    /// The imports and exports are invalid.
    #[error("import or export number {number}: {}; declare them once, by `bareflow_abi::module!`", .why.what())]
    Binding {
        /// The number of the import or export, counted from 1.
        number: usize,
        /// The reason.
        why: BadBinding,
    },
    /// The events or notifications are invalid.
    #[error(
        "event or notification number {number}: {}{}",
        .why.what(),
        event_remedy(*.why)
    )]
    Event {
        /// The number of the event or notification, counted from 1.
        number: usize,
        /// The reason.
        why: BadEvent,
    },
    /// The signatures are no text.
    #[error("{length} bytes of signatures that are no text; declare interfaces by `#[bareflow_abi::interface]`")]
    Signatures {
        /// The length of the signatures, in bytes.
        length: usize,
    },
    /// The settings name a provider for what is not imported.
    #[error(
        "bind: no import \"{found}\", expected {}; change package.metadata.bareflow.bind in the module's Cargo.toml",
        one_of(.imports)
    )]
    UnknownImport {
        /// The name in the settings.
        found: String,
        /// The names of the imports.
        imports: Vec<String>,
    },
    /// The provider that the settings name can be no module.
    #[error(
        "bind: {import} = \"{found}\", expected a module's name or one with a requirement, such as \"disk@^1\", in at \
         most {MAX_SELECTOR} bytes; change package.metadata.bareflow.bind in the module's Cargo.toml"
    )]
    Provider {
        /// The import.
        import: String,
        /// The provider in the settings.
        found: String,
    },
    /// The format has no room for a section.
    #[error(
        "section {section} has no place in a module (constructors and the like never run); remove what puts data there"
    )]
    UnknownSection {
        /// The section's name.
        section: String,
    },
    /// A section is not at the address that `module.ld` gives it.
    #[error("section {section} at {found:#x}, expected at {expected:#x}; link with the module.ld of this version")]
    Misplaced {
        /// The section's name.
        section: String,
        /// The section's address.
        found: u64,
        /// The expected address.
        expected: u64,
    },
    /// A size exceeds the format's 32 bits, or a segment exceeds its 256 MiB.
    #[error("too large: {found} bytes, a segment has at most 256 MiB; make the module smaller")]
    TooLarge {
        /// The size, in bytes.
        found: u64,
    },
    /// The module has no code.
    #[error("no code: section .text is empty; write `bareflow_abi::module!(function);` in src/lib.rs")]
    NoText,
    /// The module has neither a `run` nor exports.
    #[error(
        "nothing to call: no run and no exports, expected one of the two; name a function or `exports` in `module!`"
    )]
    NothingToCall,
    /// The entry is outside of the code.
    #[error(
        "entry at {entry:#x}, expected inside the {text_size} bytes of .text; link with the module.ld of this version"
    )]
    EntryOutside {
        /// The offset of the entry, in bytes.
        entry: u64,
        /// The size of the code, in bytes.
        text_size: u64,
    },
    /// The module was built against an ABI that this version's loader does not know.
    #[error(
        "built against ABI {}.{} with fingerprint {fingerprint:#018x}, expected {ABI_MAJOR}.0 to \
         {ABI_MAJOR}.{ABI_MINOR} as released; build against the bareflow-abi of this version (`bareflow new \
         --standalone` writes it)",
        .found.0, .found.1
    )]
    ForeignAbi {
        /// The ABI's version.
        found: (u16, u16),
        /// The ABI's fingerprint.
        fingerprint: u64,
    },
    /// The alignment is above a page, or no power of two.
    #[error("alignment of {found} bytes, expected a power of two up to 4096; lower the `align` attribute")]
    Alignment {
        /// The alignment, in bytes.
        found: u64,
    },
    /// Two fix-ups overlap.
    #[error("fix-ups at {first:#x} and {second:#x} overlap; remove the packed structure that holds the pointers")]
    OverlappingFixups {
        /// The offset of the first fix-up.
        first: u64,
        /// The offset of the second fix-up.
        second: u64,
    },
}

/// Names the undefined symbols, and the remedy.
fn undefined(symbols: &[String]) -> String {
    let plural = if symbols.len() == 1 { "undefined symbol" } else { "undefined symbols" };
    let names: Vec<_> = symbols.iter().map(|name| format!("{:#}", rustc_demangle::demangle(name))).collect();
    let remedy = match symbols.iter().any(|name| name.starts_with("_critical_section_1_0_")) {
        true => "turn on the feature `critical-section` of bareflow-abi",
        false => "define it in the crate, or drop what refers to it: a module is linked with nothing else",
    };
    format!("{plural}: {}; {remedy}", names.join(", "))
}

/// Names the devices that there are, if one is none of them.
fn expected_device(why: BadDevice) -> String {
    match why {
        BadDevice::Selector => {
            let names = (1..=u16::MAX).filter_map(virtio_name).collect::<Vec<_>>().join(", ");
            format!("as NAME one of {names}, or the type's four digits")
        }
        _ => format!("at most {MAX_DEVICES}"),
    }
}

/// Returns what to do about an event.
fn event_remedy(why: BadEvent) -> String {
    match why {
        BadEvent::Device => {
            "; add its device to package.metadata.bareflow in the module's Cargo.toml, such as devices = [\"virtio:net\"]".into()
        }
        _ => format!(", expected at most {MAX_EVENTS} of each, declared once, by `bareflow_abi::module!`"),
    }
}

/// Names what was expected of several.
fn one_of(names: &[String]) -> String {
    if names.is_empty() {
        "none: the module imports nothing".to_owned()
    } else {
        format!("one of {}", names.join(", "))
    }
}
