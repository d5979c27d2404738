//! Refusals of code: the blob's own, or that of a variant.

use core::fmt;

use bareflow_abi::variant::{MAX_LEVEL, VARIANT_HEADER_SIZE};

use super::{MalformedModule, REBUILD};

/// Code with an entry or fix-ups that can't be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadCode {
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
    /// A fix-up that isn't in rodata or data.
    FixupOutside {
        /// Its offset from the image's base.
        found: u64,
    },
    /// A fix-up that would point out of the image.
    FixupTarget {
        /// The fix-up's offset.
        fixup: u64,
        /// Where it points, from the image's base.
        found: u64,
    },
}

impl fmt::Display for BadCode {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Entry { found, text_size } => {
                write!(out, "entry outside the text: offset {found:#x}, text has {text_size:#x} bytes; {REBUILD}")
            }
            Self::FixupEncoding { behind } => {
                write!(out, "unreadable fix-up behind offset {behind:#x}; {REBUILD}")
            }
            Self::FixupCount { found, expected } => {
                write!(out, "wrong number of fix-ups: {found}, the header announces {expected}; {REBUILD}")
            }
            Self::FixupOutside { found } => {
                write!(out, "fix-up outside rodata and data: offset {found:#x}; {REBUILD}")
            }
            Self::FixupTarget { fixup, found } => {
                write!(out, "fix-up at offset {fixup:#x} points out of the image: {found:#x}; {REBUILD}")
            }
        }
    }
}

/// A variant that can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadVariant {
    /// Shorter than its fields.
    TooShort {
        /// Bytes in the record.
        found: usize,
    },
    /// Its bytes don't have the shape of code.
    Malformed(MalformedModule),
    /// A level there isn't, or not above that of the code before it.
    Level {
        /// The level of the code before it.
        behind: u8,
    },
    /// An entry or fix-ups that can't be.
    Code(BadCode),
}

impl fmt::Display for BadVariant {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::TooShort { found } => {
                write!(out, "record too short: {found} bytes, its fields alone have {VARIANT_HEADER_SIZE}; {REBUILD}")
            }
            Self::Malformed(why) => write!(out, "{why}"),
            Self::Level { behind } => write!(
                out,
                "behind code for x86-64-v{behind}, expected levels that rise up to x86-64-v{MAX_LEVEL}; {REBUILD}"
            ),
            Self::Code(why) => write!(out, "{why}"),
        }
    }
}

impl core::error::Error for BadCode {}
impl core::error::Error for BadVariant {}
