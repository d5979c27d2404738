//! The entry of a file or folder.

use alloc::string::String;
use core::ops::RangeInclusive;

use crate::bytes::{put, u8_at, u16_at, u32_at};
use crate::error::DiskError;
use crate::stamp::Stamp;

/// The size of an entry, in bytes.
pub const ENTRY_SIZE: usize = 32;

/// The bytes of an entry.
pub type DirectoryEntry = [u8; ENTRY_SIZE];

/// The first byte of the entry that marks the end of a folder.
pub const LAST: u8 = 0;
/// The first byte of a free entry.
pub const FREE: u8 = 0xe5;

/// Attributes: volume label, and the combination that marks a part of a long name.
const LABEL: u8 = 0x08;
const LONG_NAME: u8 = 0x0f;

/// The attribute of a folder.
pub const FOLDER: u8 = 0x10;
/// The attribute of a file that no backup has.
pub const ARCHIVE: u8 = 0x20;

/// A short name: eight characters and three, padded with spaces.
pub type ShortName = [u8; 11];

/// A file or folder, as it was when its folder was listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// The long name, or else the short one. Control characters are shown as `?`.
    pub name: String,
    /// The file's length in bytes; 0 for a folder.
    pub bytes: u64,
    /// Whether this is a folder.
    pub folder: bool,
    /// The time of the last change, which shows which of two files is newer.
    pub stamp: Stamp,
    /// The reason why it can't be read, as far as the entry shows it.
    pub problem: Option<DiskError>,
    pub(crate) short: ShortName,
    pub(crate) first_cluster: u32,
    /// The numbers of its entries in the folder: those of the long name first, the entry itself last.
    pub(crate) entries: RangeInclusive<u32>,
}

impl File {
    /// Whether the name ends in `.mod`; a folder's may, too.
    ///
    /// A name such as `._NAME.mod` does not count: macOS puts such a file beside each file that it copies.
    #[must_use]
    pub fn is_module(&self) -> bool {
        if self.name.starts_with("._") {
            return false;
        }
        let ending = self.name.len().checked_sub(4).and_then(|start| self.name.get(start..));
        ending.is_some_and(|ending| ending.eq_ignore_ascii_case(".mod"))
    }
}

/// Whether an entry is a part of a long name.
pub fn is_long_name(entry: &DirectoryEntry) -> bool {
    u8_at(entry, 11) & 0x3f == LONG_NAME
}

/// Whether an entry is a file or folder, other than the folder itself and its parent.
pub fn is_file(entry: &DirectoryEntry) -> bool {
    u8_at(entry, 11) & LABEL == 0 && u8_at(entry, 0) != b'.'
}

/// Decodes an entry, except for the name.
pub fn read(entry: &DirectoryEntry, entries: RangeInclusive<u32>, wide: bool) -> File {
    let folder = u8_at(entry, 11) & FOLDER != 0;
    // FAT16 uses the field that has the cluster's upper half in FAT32 for something else.
    let high = if wide { u32::from(u16_at(entry, 20)) } else { 0 };
    let mut short = [0; 11];
    put(&mut short, 0, entry);
    File {
        name: String::new(),
        bytes: if folder { 0 } else { u64::from(u32_at(entry, 28)) },
        folder,
        stamp: Stamp(u32_at(entry, 22)),
        problem: None,
        short,
        first_cluster: high << 16 | u32::from(u16_at(entry, 26)),
        entries,
    }
}

/// Encodes an entry with one of the attributes above.
pub fn write(short: &ShortName, attribute: u8, first_cluster: u32, bytes: u32, stamp: Stamp) -> DirectoryEntry {
    let mut entry = [0; ENTRY_SIZE];
    let [low, high_low, high, highest] = first_cluster.to_le_bytes();
    put(&mut entry, 0, short);
    put(&mut entry, 11, &[attribute]);
    put(&mut entry, 20, &[high, highest]);
    put_stamp(&mut entry, stamp);
    put(&mut entry, 26, &[low, high_low]);
    put(&mut entry, 28, &bytes.to_le_bytes());
    entry
}

/// Encodes the entries that a folder below the root begins with: itself, and the root.
pub fn write_dots(first_cluster: u32) -> [u8; 2 * ENTRY_SIZE] {
    let mut dots = [0; 2 * ENTRY_SIZE];
    put(&mut dots, 0, &write(b".          ", FOLDER, first_cluster, 0, Stamp::FIRST));
    put(&mut dots, ENTRY_SIZE, &write(b"..         ", FOLDER, 0, 0, Stamp::FIRST));
    dots
}

/// Sets the time of the last change.
pub fn put_stamp(entry: &mut [u8], stamp: Stamp) {
    put(entry, 22, &stamp.0.to_le_bytes());
}

/// The longest short name when shown, in bytes: both parts and the dot.
const SHORT_NAME_SHOWN: usize = 12;

/// Formats the short name: `NAME.EXT`, in lower case where the entry says so.
pub fn short_name(entry: &DirectoryEntry) -> Result<String, DiskError> {
    let (base, ending) = (entry.get(..8).unwrap_or_default(), entry.get(8..11).unwrap_or_default());
    let case = u8_at(entry, 12);
    let mut name = String::new();
    let wanted = SHORT_NAME_SHOWN;
    name.try_reserve_exact(wanted).map_err(|_| DiskError::OutOfMemory { wanted: wanted as u64 })?;
    push(&mut name, base, case & 0x08 != 0);
    if ending.iter().any(|&byte| byte != b' ') {
        name.push('.');
        push(&mut name, ending, case & 0x10 != 0);
    }
    Ok(name)
}

fn push(name: &mut String, field: &[u8], small: bool) {
    let length = field.iter().rposition(|&byte| byte != b' ').map_or(0, |last| last + 1);
    for &byte in field.iter().take(length) {
        let shown = if byte.is_ascii_graphic() || byte == b' ' { byte } else { b'?' };
        name.push(char::from(if small { shown.to_ascii_lowercase() } else { shown }));
    }
}
