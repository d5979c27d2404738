//! Long names: UTF-16, in entries before the file's own, last part first.

use alloc::string::String;

use crate::bytes::{u8_at, u16_at};
use crate::entry::{DirectoryEntry, ShortName};
use crate::error::DiskError;

/// The number of UTF-16 units in each entry, and their offsets.
const UNITS: usize = 13;
const OFFSETS: [usize; UNITS] = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];

/// The largest number of entries for a name.
const MAX_PARTS: u8 = 20;

/// The bit in the number of the part that is stored first.
const FIRST: u8 = 0x40;

/// The parts of a name read so far. Parts that don't belong together give no name.
#[derive(Debug)]
pub struct LongName {
    units: [u16; UNITS * MAX_PARTS as usize],
    parts: u8,
    /// The number of the part that was read last; 0 if there is no valid one.
    part: u8,
    checksum: u8,
    /// The number of the first part's entry in the folder.
    first_entry: u32,
}

impl Default for LongName {
    fn default() -> LongName {
        LongName { units: [0; UNITS * MAX_PARTS as usize], parts: 0, part: 0, checksum: 0, first_entry: 0 }
    }
}

impl LongName {
    /// Adds the next part: the folder's entry `number`.
    pub fn push(&mut self, entry: &DirectoryEntry, number: u32) {
        let (part, checksum) = (u8_at(entry, 0), u8_at(entry, 13));
        if part & FIRST != 0 && (1..=MAX_PARTS).contains(&(part & !FIRST)) {
            *self = LongName { parts: part & !FIRST, checksum, first_entry: number, ..LongName::default() };
        } else if self.part < 2 || part != self.part - 1 || checksum != self.checksum {
            self.part = 0;
            return;
        }
        self.part = part & !FIRST;
        let start = usize::from(self.part - 1) * UNITS;
        for (unit, offset) in self.units.iter_mut().skip(start).zip(OFFSETS) {
            *unit = u16_at(entry, offset);
        }
    }

    /// Returns the name, if it is complete and belongs to the entry with the short name `short`, and its first entry's
    /// number. Resets the parts.
    pub fn take(&mut self, short: &ShortName) -> Result<Option<(String, u32)>, DiskError> {
        let whole = core::mem::take(&mut self.part) == 1 && self.checksum == checksum(short);
        let Some(units) = self.units.get(..usize::from(self.parts) * UNITS).filter(|_| whole) else { return Ok(None) };
        let units = units.iter().copied().take_while(|&unit| unit != 0);
        let characters = char::decode_utf16(units).map(|found| found.unwrap_or(char::REPLACEMENT_CHARACTER));
        let shown = characters.map(|found| if found.is_control() { '?' } else { found });
        let (length, mut name) = (shown.clone().map(char::len_utf8).sum(), String::new());
        name.try_reserve_exact(length).map_err(|_| DiskError::OutOfMemory { wanted: length as u64 })?;
        name.extend(shown);
        Ok((!name.is_empty()).then_some((name, self.first_entry)))
    }
}

/// Returns the checksum that links the parts of a long name to the short name.
fn checksum(short: &ShortName) -> u8 {
    short.iter().fold(0, |sum: u8, &byte| sum.rotate_right(1).wrapping_add(byte))
}
