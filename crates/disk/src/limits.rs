//! The limits of what is read and saved.

/// The longest file that is read or saved, in bytes.
pub const MAX_FILE_SIZE: u64 = 16 << 20;

/// The largest number of names that are read from a folder.
pub const MAX_FILES: usize = 4096;
