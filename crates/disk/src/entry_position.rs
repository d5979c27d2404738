//! Changes of a folder's entries: finding a free one, and changing those of a file.

use crate::device::BlockDevice;
use crate::entry::{ENTRY_SIZE, FREE, File, LAST};
use crate::error::DiskError;
use crate::folder::{ENTRIES, Walk};
use crate::layout::Folder;
use crate::{Disk, fallible};

/// The position for a new entry.
pub struct EntryPosition {
    /// The sector's number.
    pub sector: u64,
    /// The entry's offset in the sector.
    pub offset: usize,
    /// The next sector, to which the end mark must move, if the entry replaces it in the last entry of its sector.
    pub end: Option<u64>,
}

impl<D: BlockDevice> Disk<D> {
    /// Finds the first free entry of a folder; `None` if the folder must grow. Also returns the folder's last cluster.
    pub(crate) fn find_position(&mut self, folder: Folder) -> Result<(Option<EntryPosition>, u32), DiskError> {
        let mut walk = Walk::new(folder);
        while let Some(sector) = self.next_sector(&mut walk)? {
            let bytes = self.read_sector(sector)?;
            let mut entries = bytes.as_chunks::<ENTRY_SIZE>().0.iter();
            let free = |entry: &[u8; ENTRY_SIZE]| matches!(entry.first(), Some(&LAST | &FREE));
            let Some(index) = entries.position(free) else { continue };
            let offset = index * ENTRY_SIZE;
            // If the mark is the sector's last entry, it moves to the next sector, if there is one.
            let at_end = bytes.get(offset) == Some(&LAST) && index + 1 == ENTRIES as usize;
            let end = if at_end { self.next_sector(&mut walk)? } else { None };
            return Ok((Some(EntryPosition { sector, offset, end }), walk.cluster));
        }
        if self.may_grow(&walk) { Ok((None, walk.cluster)) } else { Err(DiskError::FolderFull) }
    }

    /// Changes all entries of a file. `change` is told whether the entry is the file's own, which is the last one.
    pub(crate) fn change_entries(
        &mut self,
        folder: Folder,
        file: &File,
        mut change: impl FnMut(&mut [u8], bool),
    ) -> Result<(), DiskError> {
        let (mut walk, mut number) = (Walk::new(folder), 0);
        while let Some(sector) = self.next_sector(&mut walk)? {
            let numbers = number..number + ENTRIES;
            number += ENTRIES;
            if numbers.end <= *file.entries.start() {
                continue;
            }
            let mut bytes = self.read_sector(sector)?;
            for (number, entry) in numbers.zip(bytes.as_chunks_mut::<ENTRY_SIZE>().0) {
                let last = number == *file.entries.end();
                if last && !entry.starts_with(&file.short) {
                    return Err(DiskError::EntryChanged { file: fallible::copy(&file.name)? });
                }
                if file.entries.contains(&number) {
                    change(entry, last);
                }
            }
            self.write_sector(sector, &bytes)?;
            if number > *file.entries.end() {
                return Ok(());
            }
        }
        Err(DiskError::EntryChanged { file: fallible::copy(&file.name)? })
    }
}
