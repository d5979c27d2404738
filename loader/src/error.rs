//! Every way a load or a call can be refused, one enum for each stage.
//!
//! The messages say what was found, what was expected and what to do.

use core::fmt;

use bareflow_abi::header::{FORMAT_VERSION, HEADER_SIZE, MACHINE_X86_64, MAGIC, NAME_SIZE, SERVICE_NAMES};
use bareflow_abi::layout::{MAX_ALIGNMENT, MAX_SEGMENT_SIZE};
use bareflow_abi::{ABI_MAJOR, ABI_MINOR};

use crate::fault::Fault;
use crate::name::{MAX_NAME_LENGTH, Name, Version};
use crate::platform::PlatformError;

/// What to do about a file whose bytes are not those the packer wrote.
const REBUILD: &str = "rebuild the module or copy it again";

/// The bytes don't have the shape of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MalformedModule {
    /// Shorter than a header.
    TooShort {
        /// Bytes in the file.
        found: usize,
    },
    /// Not the magic number.
    Magic {
        /// The number there.
        found: u32,
    },
    /// A format this loader doesn't know.
    Format {
        /// The version there.
        found: u16,
    },
    /// Code for another machine.
    Machine {
        /// The ELF number there.
        found: u16,
    },
    /// Flags this loader doesn't know.
    UnknownFlags {
        /// The unknown ones.
        found: u32,
    },
    /// Reserved bytes that are not zero.
    ReservedBytes {
        /// The bytes there.
        found: [u8; 3],
    },
    /// No code at all.
    NoText,
    /// A segment larger than the space for it.
    SegmentTooLarge {
        /// Which.
        segment: &'static str,
        /// Its size in bytes.
        found: u64,
    },
    /// An alignment that is no power of two or above a page.
    Alignment {
        /// The one there.
        found: u32,
    },
    /// The parts don't add up to the file.
    Length {
        /// Bytes in the file.
        found: usize,
        /// Bytes the header announces.
        expected: u64,
    },
}

impl fmt::Display for MalformedModule {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::TooShort { found } => {
                write!(out, "file too short: {found} bytes, a header alone has {HEADER_SIZE}; {REBUILD}")
            }
            Self::Magic { found } => {
                write!(out, "wrong magic: {found:#010x}, expected {MAGIC:#010x}; is this a .mod file?")
            }
            Self::Format { found } => write!(
                out,
                "unknown format version: {found}, expected {FORMAT_VERSION}; rebuild the module with this system's packer"
            ),
            Self::Machine { found } => {
                write!(out, "wrong machine: {found}, expected {MACHINE_X86_64} (x86-64); build the module for x86-64")
            }
            Self::UnknownFlags { found } => {
                write!(out, "unknown flags: {found:#x}; the module needs a newer loader, or the file is damaged")
            }
            Self::ReservedBytes { found } => {
                write!(out, "reserved bytes are {found:?}, expected zeros; {REBUILD}")
            }
            Self::NoText => write!(out, "no text: the module has no code to run; {REBUILD}"),
            Self::SegmentTooLarge { segment, found } => write!(
                out,
                "{segment} too large: {found} bytes, at most {MAX_SEGMENT_SIZE} fit; make the module smaller"
            ),
            Self::Alignment { found } => {
                write!(out, "bad alignment: {found}, expected a power of two up to {MAX_ALIGNMENT}; {REBUILD}")
            }
            Self::Length { found, expected } => {
                write!(out, "wrong length: {found} bytes, the header announces {expected}; {REBUILD}")
            }
        }
    }
}

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
        /// The version there.
        found: u16,
    },
    /// A newer minor version of the ABI.
    AbiMinor {
        /// The version there.
        found: u16,
    },
    /// The layout the module was built against isn't that of its ABI version.
    AbiFingerprint {
        /// The fingerprint there.
        found: u64,
        /// The one of that version.
        expected: u64,
    },
    /// A name that breaks the rule.
    Name {
        /// The field's bytes.
        found: [u8; NAME_SIZE],
    },
    /// No version.
    Version,
    /// An entry that isn't in the text.
    Entry {
        /// Its offset.
        found: u32,
        /// Bytes of text.
        text_size: u32,
    },
    /// A fix-up that can't be read.
    FixupEncoding {
        /// The offset of the last one before it.
        behind: u64,
    },
    /// Another number of fix-ups than announced.
    FixupCount {
        /// How many there are.
        found: u32,
        /// How many the header announces.
        expected: u32,
    },
    /// A slot that isn't in rodata or data.
    FixupSlot {
        /// Its offset from the image's base.
        found: u64,
    },
    /// A slot that would point out of the image.
    FixupTarget {
        /// The slot's offset.
        slot: u64,
        /// Where it points, from the image's base.
        found: u64,
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
            Self::AbiMajor { found } => write!(
                out,
                "wrong ABI: major version {found}, expected {ABI_MAJOR}; rebuild the module against this bareflow-abi"
            ),
            Self::AbiMinor { found } => write!(
                out,
                "wrong ABI: version {ABI_MAJOR}.{found}, this loader knows up to {ABI_MAJOR}.{ABI_MINOR}; \
                 rebuild the module against this bareflow-abi or update the loader"
            ),
            Self::AbiFingerprint { found, expected } => write!(
                out,
                "wrong ABI: fingerprint {found:#018x}, expected {expected:#018x}; \
                 rebuild the module against a released bareflow-abi"
            ),
            Self::Name { found } => {
                let end = found.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
                let name = found.get(..end).unwrap_or_default().escape_ascii();
                write!(out, "bad name: \"{name}\", expected 1 to {MAX_NAME_LENGTH} of a-z, 0-9, _ and -; {REBUILD}")
            }
            Self::Version => write!(out, "no version: 0.0.0; give the module's Cargo.toml a version"),
            Self::Entry { found, text_size } => {
                write!(out, "entry outside the text: offset {found:#x}, text has {text_size:#x} bytes; {REBUILD}")
            }
            Self::FixupEncoding { behind } => {
                write!(out, "unreadable fix-up behind offset {behind:#x}; {REBUILD}")
            }
            Self::FixupCount { found, expected } => {
                write!(out, "wrong number of fix-ups: {found}, the header announces {expected}; {REBUILD}")
            }
            Self::FixupSlot { found } => {
                write!(out, "fix-up outside rodata and data: offset {found:#x}; {REBUILD}")
            }
            Self::FixupTarget { slot, found } => {
                write!(out, "fix-up at offset {slot:#x} points out of the image: {found:#x}; {REBUILD}")
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

/// A load that was refused. Nothing of it stays behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoadError {
    /// Not a module.
    Malformed(MalformedModule),
    /// Not one that may be loaded.
    Invalid(InvalidModule),
    /// One of that name is there.
    AlreadyLoaded {
        /// The name.
        name: Name,
        /// The version that is there.
        version: Version,
    },
    /// Memory for the image ran out.
    Platform(PlatformError),
    /// Memory for the loader's tables ran out.
    TableFull,
    /// The module's `init` said no.
    InitFailed {
        /// What it returned.
        result: i32,
    },
    /// The module's `init` faulted.
    InitFaulted(Fault),
}

impl fmt::Display for LoadError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(error) => error.fmt(out),
            Self::Invalid(error) => error.fmt(out),
            Self::AlreadyLoaded { name, version } => {
                write!(out, "already loaded: {name} {version}; unload it first, or rename this one")
            }
            Self::Platform(error) => error.fmt(out),
            Self::TableFull => {
                out.write_str("no memory for the module table; unload a module or give the system more memory")
            }
            Self::InitFailed { result } => {
                write!(out, "init failed: it returned {result}, expected 0; see the module's documentation")
            }
            Self::InitFaulted(fault) => write!(out, "init faulted: {fault}; correct the module"),
        }
    }
}

impl From<MalformedModule> for LoadError {
    fn from(error: MalformedModule) -> LoadError {
        LoadError::Malformed(error)
    }
}

impl From<InvalidModule> for LoadError {
    fn from(error: InvalidModule) -> LoadError {
        LoadError::Invalid(error)
    }
}

impl From<PlatformError> for LoadError {
    fn from(error: PlatformError) -> LoadError {
        LoadError::Platform(error)
    }
}

/// A call that did not return a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExecuteError {
    /// The handle is that of a module which is gone.
    NotLoaded,
    /// The module is running already, and does not allow for two calls at once.
    Busy,
    /// The module faulted in an earlier call and is stopped.
    Stopped(Fault),
    /// The module faulted in this call.
    Faulted(Fault),
    /// Memory for the module's profile ran out.
    ProfileFull,
}

impl fmt::Display for ExecuteError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLoaded => out.write_str("not loaded: the module was unloaded; find it again"),
            Self::Busy => out.write_str("busy: the module is running and is not reentrant; wait for its call to end"),
            Self::Stopped(fault) => write!(out, "stopped: an earlier call faulted ({fault}); load the module anew"),
            Self::Faulted(fault) => write!(out, "faulted: {fault}"),
            Self::ProfileFull => {
                out.write_str("no memory for the profile; unload a module or give the system more memory")
            }
        }
    }
}

impl core::error::Error for MalformedModule {}
impl core::error::Error for InvalidModule {}
impl core::error::Error for LoadError {}
impl core::error::Error for ExecuteError {}
