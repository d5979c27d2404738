//! Errors of code: the blob's own, or a variant's.

use bareflow_abi::variant::{MAX_LEVEL, VARIANT_HEADER_SIZE};

use super::{MalformedModule, REBUILD};

/// Code with an invalid entry or invalid fix-ups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadCode {
    /// The entry is outside of the text.
    #[error("entry outside the text: offset {found:#x}, text has {text_size:#x} bytes; {REBUILD}")]
    Entry {
        /// The entry's offset.
        found: u32,
        /// The length of the text, in bytes.
        text_size: u32,
    },
    /// A fix-up can't be decoded.
    #[error("unreadable fix-up behind offset {behind:#x}; {REBUILD}")]
    FixupEncoding {
        /// The offset of the last fix-up before it.
        behind: u64,
    },
    /// The number of fix-ups differs from the one in the header.
    #[error("wrong number of fix-ups: {found}, the header announces {expected}; {REBUILD}")]
    FixupCount {
        /// The number of fix-ups in the list.
        found: u32,
        /// The number that the header announces.
        expected: u32,
    },
    /// A fix-up is outside of rodata and data.
    #[error("fix-up outside rodata and data: offset {found:#x}; {REBUILD}")]
    FixupOutside {
        /// The fix-up's offset from the image's base.
        found: u64,
    },
    /// A fix-up points out of the image.
    #[error("fix-up at offset {fixup:#x} points out of the image: {found:#x}; {REBUILD}")]
    FixupTarget {
        /// The fix-up's offset from the image's base.
        fixup: u64,
        /// The target's offset from the image's base.
        found: u64,
    },
}

/// An invalid variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadVariant {
    /// The record is shorter than its header.
    #[error("record too short: {found} bytes, its fields alone have {VARIANT_HEADER_SIZE}; {REBUILD}")]
    TooShort {
        /// The length of the record, in bytes.
        found: usize,
    },
    /// The fields of its header are invalid, or its sizes don't add up to the record.
    #[error(transparent)]
    Malformed(MalformedModule),
    /// The level does not exist, or is not above that of the code before it.
    #[error("behind code for x86-64-v{behind}, expected levels that rise up to x86-64-v{MAX_LEVEL}; {REBUILD}")]
    Level {
        /// The level of the code before it.
        behind: u8,
    },
    /// The entry or the fix-ups are invalid.
    #[error(transparent)]
    Code(BadCode),
}
