//! What can't be packed, and what to do about it.

use std::fmt;

use bareflow_abi::depends::{BadDependency, MAX_DEPENDENCIES};
use bareflow_abi::entry::ENTRY_SYMBOL;
use bareflow_abi::header::NAME_SIZE;
use bareflow_abi::{ABI_MAJOR, ABI_MINOR};

/// Why a module can't be packed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PackError {
    /// A name that breaks the rule.
    Name {
        /// The name.
        found: String,
    },
    /// Version 0.0.0.
    NoVersion,
    /// Not an ELF file that can be read.
    NotElf {
        /// What the reader said.
        reason: String,
    },
    /// ELF for another machine, or not a position-independent executable.
    WrongKind {
        /// What it is.
        found: String,
    },
    /// Symbols nothing defines.
    UndefinedSymbols {
        /// Their names.
        symbols: Vec<String>,
    },
    /// Thread-local storage.
    ThreadLocal {
        /// The symbol that is, or the section it lies in.
        symbol: String,
    },
    /// A relocation that only a dynamic linker could do.
    Relocation {
        /// ELF's number of its type.
        kind: u32,
        /// The symbol it is for, or the one it lies in.
        symbol: String,
        /// The section it lies in.
        section: String,
    },
    /// A dependency that can't be one.
    Dependency {
        /// Its name.
        found: String,
        /// What is wrong with it.
        why: BadDependency,
    },
    /// A variant that can't be packed.
    Variant {
        /// Its level.
        level: u8,
        /// Why.
        error: Box<PackError>,
    },
    /// A variant for a level there isn't, or not above that of the code before it.
    VariantLevel {
        /// Its level.
        found: u8,
        /// The level before it.
        behind: u8,
    },
    /// A variant that is another module: built against another ABI, with other flags or another state.
    VariantDiffers {
        /// Its level.
        level: u8,
    },
    /// No entry.
    MissingEntry,
    /// No descriptor.
    MissingDescriptor,
    /// A schema of the state that is none.
    StateSchema {
        /// Its length.
        length: usize,
    },
    /// A section the format has no place for.
    UnknownSection {
        /// Its name.
        section: String,
    },
    /// A section that isn't where `module.ld` puts it.
    Misplaced {
        /// Its name.
        section: String,
        /// Its address.
        found: u64,
        /// Where it belongs.
        expected: u64,
    },
    /// Something beyond the format's 32 bits, or a segment beyond its 256 MiB.
    TooLarge {
        /// Its size in bytes.
        found: u64,
    },
    /// No code.
    NoText,
    /// An entry that lies outside of the code.
    EntryOutside {
        /// Its offset in bytes.
        entry: u64,
        /// Bytes of code.
        text_size: u64,
    },
    /// Code built against an ABI that this version's loader knows nothing of.
    ForeignAbi {
        /// Its version.
        found: (u16, u16),
        /// Its fingerprint.
        fingerprint: u64,
    },
    /// An alignment above a page, or one that is no power of two.
    Alignment {
        /// The alignment in bytes.
        found: u64,
    },
    /// Two fix-ups that overlap.
    OverlappingFixups {
        /// Offset of the first.
        first: u64,
        /// Offset of the second.
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
