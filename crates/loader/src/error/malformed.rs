//! Errors of the first stage: bytes that are not a module.

use core::fmt;

use bareflow_abi::header::{FORMAT_VERSION, HEADER_SIZE, MACHINE_X86_64, MAGIC};
use bareflow_abi::layout::{MAX_ALIGNMENT, MAX_SEGMENT_SIZE};

use super::REBUILD;

/// Bytes without the structure of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MalformedModule {
    /// The file is shorter than a header.
    TooShort {
        /// The length of the file, in bytes.
        found: usize,
    },
    /// The magic number is wrong.
    Magic {
        /// The number that was found.
        found: u32,
    },
    /// The format version is unknown to this loader.
    Format {
        /// The version that was found.
        found: u16,
    },
    /// The code is for another machine.
    Machine {
        /// The ELF machine number that was found.
        found: u16,
    },
    /// Some flags are unknown to this loader.
    UnknownFlags {
        /// The unknown flags.
        found: u32,
    },
    /// Reserved bytes are not zero.
    ReservedBytes {
        /// The bytes that were found.
        found: [u8; 3],
    },
    /// The module has no code.
    NoText,
    /// A segment is larger than its region of the address space.
    SegmentTooLarge {
        /// The segment's name.
        segment: &'static str,
        /// The segment's size, in bytes.
        found: u64,
    },
    /// The alignment is no power of two, or above a page.
    Alignment {
        /// The alignment that was found.
        found: u32,
    },
    /// The sizes in the header don't add up to the file's.
    Length {
        /// The length of the file, in bytes.
        found: usize,
        /// The length that the header announces, in bytes.
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
