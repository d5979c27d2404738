//! Errors of the first stage: bytes that are not a module.

use bareflow_abi::header::{FORMAT_VERSION, HEADER_SIZE, MACHINE_X86_64, MAGIC};
use bareflow_abi::layout::{MAX_ALIGNMENT, MAX_SEGMENT_SIZE};

use super::REBUILD;

/// Bytes without the structure of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MalformedModule {
    /// The file is shorter than a header.
    #[error("file too short: {found} bytes, a header alone has {HEADER_SIZE}; {REBUILD}")]
    TooShort {
        /// The length of the file, in bytes.
        found: usize,
    },
    /// The magic number is wrong.
    #[error("wrong magic: {found:#010x}, expected {MAGIC:#010x}; is this a .mod file?")]
    Magic {
        /// The number that was found.
        found: u32,
    },
    /// The format version is unknown to this loader.
    #[error("unknown format version: {found}, expected {FORMAT_VERSION}; rebuild the module with this system's packer")]
    Format {
        /// The version that was found.
        found: u16,
    },
    /// The code is for another machine.
    #[error("wrong machine: {found}, expected {MACHINE_X86_64} (x86-64); build the module for x86-64")]
    Machine {
        /// The ELF machine number that was found.
        found: u16,
    },
    /// Some flags are unknown to this loader.
    #[error("unknown flags: {found:#x}; the module needs a newer loader, or the file is damaged")]
    UnknownFlags {
        /// The unknown flags.
        found: u32,
    },
    /// Reserved bytes are not zero.
    #[error("reserved bytes are {found:?}, expected zeros; {REBUILD}")]
    ReservedBytes {
        /// The bytes that were found.
        found: [u8; 3],
    },
    /// The module has no code.
    #[error("no text: the module has no code to run; {REBUILD}")]
    NoText,
    /// A segment is larger than its region of the address space.
    #[error("{segment} too large: {found} bytes, at most {MAX_SEGMENT_SIZE} fit; make the module smaller")]
    SegmentTooLarge {
        /// The segment's name.
        segment: &'static str,
        /// The segment's size, in bytes.
        found: u64,
    },
    /// The alignment is no power of two, or above a page.
    #[error("bad alignment: {found}, expected a power of two up to {MAX_ALIGNMENT}; {REBUILD}")]
    Alignment {
        /// The alignment that was found.
        found: u32,
    },
    /// The sizes in the header don't add up to the file's.
    #[error("wrong length: {found} bytes, the header announces {expected}; {REBUILD}")]
    Length {
        /// The length of the file, in bytes.
        found: usize,
        /// The length that the header announces, in bytes.
        expected: u64,
    },
}
