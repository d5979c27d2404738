//! Refusals of the first stage: bytes without the shape of a module.

use core::fmt;

use bareflow_abi::header::{FORMAT_VERSION, HEADER_SIZE, MACHINE_X86_64, MAGIC};
use bareflow_abi::layout::{MAX_ALIGNMENT, MAX_SEGMENT_SIZE};

use super::REBUILD;

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

impl core::error::Error for MalformedModule {}
