//! The errors of packing, and the remedies.

use std::fmt;

use bareflow_abi::depends::{BadDependency, MAX_DEPENDENCIES};
use bareflow_abi::entry::ENTRY_SYMBOL;
use bareflow_abi::header::NAME_SIZE;
use bareflow_abi::{ABI_MAJOR, ABI_MINOR};

/// The reason for which a module can't be packed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PackError {
    /// The name breaks the naming rule.
    Name {
        /// The name.
        found: String,
    },
    /// The version is 0.0.0.
    NoVersion,
    /// The file is no readable ELF file.
    NotElf {
        /// The error of the reader.
        reason: String,
    },
    /// The file is for another machine, or is not a position-independent executable.
    WrongKind {
        /// The kind that was found.
        found: String,
    },
    /// Some symbols are not defined.
    UndefinedSymbols {
        /// The names of the symbols.
        symbols: Vec<String>,
    },
    /// The module uses thread-local storage.
    ThreadLocal {
        /// The thread-local symbol, or its section.
        symbol: String,
    },
    /// A relocation needs a dynamic linker.
    Relocation {
        /// The ELF number of the relocation's type.
        kind: u32,
        /// The symbol that it refers to, or the one that contains it.
        symbol: String,
        /// The section that contains it.
        section: String,
    },
    /// A dependency is invalid.
    Dependency {
        /// The dependency's name.
        found: String,
        /// The reason.
        why: BadDependency,
    },
    /// A variant can't be packed.
    Variant {
        /// The variant's level.
        level: u8,
        /// The reason.
        error: Box<PackError>,
    },
    /// The level of a variant does not exist, or is not above that of the code before it.
    VariantLevel {
        /// The variant's level.
        found: u8,
        /// The level before it.
        behind: u8,
    },
    /// A variant belongs to another module: built against another ABI, with other flags or another state.
    VariantDiffers {
        /// The variant's level.
        level: u8,
    },
    /// The entry is missing.
    MissingEntry,
    /// The descriptor is missing.
    MissingDescriptor,
    /// The schema of the state is invalid.
    StateSchema {
        /// The length of the schema, in bytes.
        length: usize,
    },
    /// The format has no room for a section.
    UnknownSection {
        /// The section's name.
        section: String,
    },
    /// A section is not at the address that `module.ld` gives it.
    Misplaced {
        /// The section's name.
        section: String,
        /// The section's address.
        found: u64,
        /// The expected address.
        expected: u64,
    },
    /// A size exceeds the format's 32 bits, or a segment exceeds its 256 MiB.
    TooLarge {
        /// The size, in bytes.
        found: u64,
    },
    /// The module has no code.
    NoText,
    /// The entry is outside of the code.
    EntryOutside {
        /// The offset of the entry, in bytes.
        entry: u64,
        /// The size of the code, in bytes.
        text_size: u64,
    },
    /// The module was built against an ABI that this version's loader does not know.
    ForeignAbi {
        /// The ABI's version.
        found: (u16, u16),
        /// The ABI's fingerprint.
        fingerprint: u64,
    },
    /// The alignment is above a page, or no power of two.
    Alignment {
        /// The alignment, in bytes.
        found: u64,
    },
    /// Two fix-ups overlap.
    OverlappingFixups {
        /// The offset of the first fix-up.
        first: u64,
        /// The offset of the second fix-up.
        second: u64,
    },
}

impl fmt::Display for PackError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name { found } => write!(
                out,
                "bad name: \"{found}\" ({} bytes), expected 1 to {} of a-z, 0-9, _ and -; \
                 change `name` in the module's Cargo.toml",
                found.len(),
                NAME_SIZE - 1
            ),
            Self::NoVersion => write!(out, "no version: 0.0.0; set `version` in the module's Cargo.toml"),
            Self::NotElf { reason } => {
                write!(out, "not a readable ELF file: {reason}; remove the build directory and build again")
            }
            Self::WrongKind { found } => {
                write!(out, "wrong kind of ELF file: {found}, expected a position-independent x86-64 executable")
            }
            Self::UndefinedSymbols { symbols } => {
                let plural = if symbols.len() == 1 { "undefined symbol" } else { "undefined symbols" };
                let names: Vec<_> =
                    symbols.iter().map(|name| format!("{:#}", rustc_demangle::demangle(name))).collect();
                let remedy = match symbols.iter().any(|name| name.starts_with("_critical_section_1_0_")) {
                    true => "turn on the feature `critical-section` of bareflow-abi",
                    false => "define it in the crate, or drop what refers to it: a module is linked with nothing else",
                };
                write!(out, "{plural}: {}; {remedy}", names.join(", "))
            }
            Self::ThreadLocal { symbol } => write!(
                out,
                "thread-local storage: {symbol}; a module has no threads of its own: use an ordinary static"
            ),
            Self::Relocation { kind, symbol, section } => write!(
                out,
                "relocation of type {kind} for {symbol} in {section}, expected only R_X86_64_RELATIVE (8) outside \
                 .text; refer to {symbol} by an ordinary Rust path or reference, not by assembly or a weak symbol"
            ),
            Self::Dependency { found, why } => write!(
                out,
                "dependency \"{found}\": {}, expected the names of at most {MAX_DEPENDENCIES} other modules; change \
                 package.metadata.bareflow.depends in the module's Cargo.toml",
                why.what()
            ),
            Self::Variant { level, error } => write!(out, "its variant for x86-64-v{level}: {error}"),
            Self::VariantLevel { found, behind } => write!(
                out,
                "a variant for x86-64-v{found} behind code for x86-64-v{behind}, expected rising levels up to 4"
            ),
            Self::VariantDiffers { level } => write!(
                out,
                "its variant for x86-64-v{level} has other flags or another state; let neither depend on the target's features"
            ),
            Self::MissingEntry => write!(
                out,
                "missing entry: no symbol {ENTRY_SYMBOL}; write `bareflow_abi::module!(function);` in src/lib.rs"
            ),
            Self::MissingDescriptor => {
                write!(out, "missing descriptor: the entry does not come from `bareflow_abi::module!`; use the macro")
            }
            Self::StateSchema { length } => write!(
                out,
                "{length} bytes that are no schema of a state; declare it once, by `bareflow_abi::state!` and `module!`"
            ),
            Self::UnknownSection { section } => write!(
                out,
                "section {section} has no place in a module (constructors and the like never run); \
                 remove what puts data there"
            ),
            Self::Misplaced { section, found, expected } => write!(
                out,
                "section {section} at {found:#x}, expected at {expected:#x}; link with the module.ld of this version"
            ),
            Self::TooLarge { found } => {
                write!(out, "too large: {found} bytes, a segment has at most 256 MiB; make the module smaller")
            }
            Self::Alignment { found } => {
                write!(
                    out,
                    "alignment of {found} bytes, expected a power of two up to 4096; lower the `align` attribute"
                )
            }
            Self::NoText => {
                write!(out, "no code: section .text is empty; write `bareflow_abi::module!(function);` in src/lib.rs")
            }
            Self::EntryOutside { entry, text_size } => write!(
                out,
                "entry at {entry:#x}, expected inside the {text_size} bytes of .text; link with the module.ld of this version"
            ),
            Self::ForeignAbi { found: (major, minor), fingerprint } => write!(
                out,
                "built against ABI {major}.{minor} with fingerprint {fingerprint:#018x}, expected {ABI_MAJOR}.0 to \
                 {ABI_MAJOR}.{ABI_MINOR} as released; build against the bareflow-abi of this version \
                 (`bareflow new --standalone` writes it)"
            ),
            Self::OverlappingFixups { first, second } => write!(
                out,
                "fix-ups at {first:#x} and {second:#x} overlap; remove the packed structure that holds the pointers"
            ),
        }
    }
}

impl std::error::Error for PackError {}
