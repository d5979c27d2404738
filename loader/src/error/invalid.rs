//! Refusals of the second stage: modules that may not be loaded here.

use core::fmt;

use bareflow_abi::depends::{BadDependency, MAX_DEPENDENCIES};
use bareflow_abi::header::{NAME_SIZE, SERVICE_NAMES};
use bareflow_abi::symbols::{BadSymbol, MAX_SYMBOL_NAME};
use bareflow_abi::{ABI_MAJOR, ABI_MINOR};

use super::{BadCode, BadVariant, Differences, REBUILD};
use crate::name::MAX_NAME_LENGTH;

/// The module has the right shape and may not be loaded all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidModule {
    /// Not the bytes the packer wrote.
    Checksum {
        /// The checksum of the file as it is.
        found: u32,
        /// The one in the header.
        expected: u32,
    },
    /// An ABI with another major version.
    AbiMajor {
        /// The version there: major and minor.
        found: (u16, u16),
        /// Where the layout differs from this loader's newest, as far as that is known.
        differs: Differences,
    },
    /// A newer minor version of the ABI.
    AbiMinor {
        /// The version there.
        found: u16,
        /// Where the layout differs from this loader's newest, as far as that is known.
        differs: Differences,
    },
    /// The layout the module was built against isn't that of its ABI version.
    AbiFingerprint {
        /// The fingerprint there.
        found: u64,
        /// The one of that version.
        expected: u64,
        /// That version's minor part.
        minor: u16,
        /// Where the layout differs from that version's, as far as that is known.
        differs: Differences,
    },
    /// A name that breaks the rule.
    Name {
        /// The field's bytes.
        found: [u8; NAME_SIZE],
    },
    /// No version.
    Version,
    /// Code with an entry or fix-ups that can't be.
    Code(BadCode),
    /// A record with code for processors of a higher level that can't be used.
    Variant {
        /// The level it says it is for.
        level: u8,
        /// What is wrong with it.
        why: BadVariant,
    },
    /// A record of the state's fields that can't be read, or one too many, or none where the flags speak of one.
    StateSchema,
    /// A state that is larger than what the module has to keep it in.
    StateSize {
        /// Bytes of the state, by its schema.
        found: u32,
        /// Bytes of data and bss.
        data: u32,
    },
    /// An entry of the list of dependencies that can't be one.
    Dependency {
        /// Which, counted from 1.
        number: usize,
        /// What is wrong with it.
        why: BadDependency,
    },
    /// More than one list of dependencies.
    TwoDependencyLists,
    /// A list of functions that can't be read.
    Symbol {
        /// The level of the code that it is of.
        level: u8,
        /// Which entry, counted from 1.
        number: usize,
        /// What is wrong with it.
        why: BadSymbol,
    },
    /// More than one list of functions of one code.
    TwoSymbolLists {
        /// The code's level.
        level: u8,
    },
    /// A record that ends behind the file's end.
    RecordCutOff {
        /// Bytes left for it.
        left: usize,
    },
    /// A record that is unknown and may not be skipped.
    UnknownRecord {
        /// Its kind.
        found: u32,
    },
    /// Services this loader has never heard of, or that aren't offered here.
    Services {
        /// Those that are missing.
        missing: u32,
        /// Those that are offered.
        offered: u32,
    },
    /// A processor this machine doesn't have.
    CpuLevel {
        /// The x86-64 level the module needs.
        found: u8,
        /// The level of this machine.
        available: u8,
    },
}

impl fmt::Display for InvalidModule {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Checksum { found, expected } => {
                write!(out, "checksum mismatch: header says {expected:#010x}, computed {found:#010x}; {REBUILD}")
            }
            Self::AbiMajor { found: (major, minor), differs } => write!(
                out,
                "wrong ABI: major version {major} ({major}.{minor}), expected {ABI_MAJOR} \
                 (up to {ABI_MAJOR}.{ABI_MINOR}){differs}; rebuild the module against this bareflow-abi"
            ),
            Self::AbiMinor { found, differs } => write!(
                out,
                "wrong ABI: version {ABI_MAJOR}.{found}, this loader knows up to {ABI_MAJOR}.{ABI_MINOR}{differs}; \
                 rebuild the module against this bareflow-abi or update the loader"
            ),
            Self::AbiFingerprint { found, expected, minor, differs } => write!(
                out,
                "wrong ABI: version {ABI_MAJOR}.{minor} with fingerprint {found:#018x}, expected {expected:#018x} \
                 (this loader has {ABI_MAJOR}.{ABI_MINOR}){differs}; rebuild the module against a released bareflow-abi"
            ),
            Self::Name { found } => {
                let end = found.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
                let name = found.get(..end).unwrap_or_default().escape_ascii();
                write!(out, "bad name: \"{name}\", expected 1 to {MAX_NAME_LENGTH} of a-z, 0-9, _ and -; {REBUILD}")
            }
            Self::Version => write!(out, "no version: 0.0.0; give the module's Cargo.toml a version"),
            Self::Code(why) => write!(out, "{why}"),
            Self::Variant { level, why } => write!(out, "bad variant for x86-64-v{level}: {why}"),
            Self::StateSchema => write!(
                out,
                "bad state schema: expected one record that lists the state's fields exactly where the flags announce a state; {REBUILD}"
            ),
            Self::StateSize { found, data } => {
                write!(out, "a state of {found} bytes in {data} bytes of data, expected no more than those; {REBUILD}")
            }
            Self::Dependency { number, why } => write!(
                out,
                "bad dependency: number {number}: {}, expected at most {MAX_DEPENDENCIES} other modules' names, each once, \
                 and an interval of versions; {REBUILD}",
                why.what()
            ),
            Self::TwoDependencyLists => write!(out, "two lists of dependencies, expected one at most; {REBUILD}"),
            Self::Symbol { level, number, why } => write!(
                out,
                "bad symbols for x86-64-v{level}: number {number}: {}, expected functions in the order of their addresses, \
                 with names of at most {MAX_SYMBOL_NAME} bytes; {REBUILD}",
                why.what()
            ),
            Self::TwoSymbolLists { level } => {
                write!(out, "two lists of symbols for x86-64-v{level}, expected one at most; {REBUILD}")
            }
            Self::RecordCutOff { left } => {
                write!(out, "record cut off: it does not fit the {left} bytes left; {REBUILD}")
            }
            Self::UnknownRecord { found } => {
                write!(out, "unknown record: kind {found:#x} may not be skipped; the module needs a newer loader")
            }
            Self::Services { missing, offered } => write!(
                out,
                "services not offered: {}, offered: {}; run the module where they are, or remove them from its needs",
                ServiceNames(missing),
                ServiceNames(offered)
            ),
            Self::CpuLevel { found, available } => write!(
                out,
                "CPU level not available: x86-64-v{found}, this machine has x86-64-v{available}; \
                 build the module for x86-64-v{available} or lower"
            ),
        }
    }
}

/// The names of a set of services.
#[derive(Clone, Copy, Debug)]
pub struct ServiceNames(pub u32);

impl fmt::Display for ServiceNames {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return out.write_str("none");
        }
        let mut rest = self.0;
        let mut separator = "";
        for (bit, name) in SERVICE_NAMES {
            if self.0 & bit != 0 {
                write!(out, "{separator}{name}")?;
                separator = ", ";
                rest &= !bit;
            }
        }
        if rest != 0 { write!(out, "{separator}unknown ({rest:#x})") } else { Ok(()) }
    }
}

impl From<BadCode> for InvalidModule {
    fn from(error: BadCode) -> InvalidModule {
        InvalidModule::Code(error)
    }
}

impl core::error::Error for InvalidModule {}
