//! Replacing a file such that power may be lost at any write.
//!
//! There is a flush after each of these steps:
//! 1. The new file's bytes and its chain in the table are written. Nothing refers to them yet. If the folder must grow,
//!    its new cluster is cleared and then appended to the folder.
//! 2. The new file's entry is written: one sector. From here on the file exists, complete, and is the newest.
//! 3. The entries of the older files are removed.
//! 4. Their clusters are freed.
//!
//! Therefore an entry never refers to clusters that aren't the file's own. A loss of power may leave allocated clusters
//! that belong to no file (`fsck.vfat -a` frees them), or an older file beside the new one, which the next replacement
//! removes.

use alloc::string::String;
use alloc::vec::Vec;

use crate::bytes::put;
use crate::device::BlockDevice;
use crate::entry::{self, ARCHIVE, ENTRY_SIZE, FOLDER, FREE, File, LAST, ShortName};
use crate::entry_position::EntryPosition;
use crate::error::DiskError;
use crate::layout::Folder;
use crate::stamp::Stamp;
use crate::{Disk, fallible};

/// The number of names that are tried, starting with the wanted one.
pub(crate) const NAMES: u32 = 65536;

/// The outcome of a save.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// The file's path: `/modules/1A2B3C4D.MOD`.
    pub path: String,
    /// The file's length in bytes.
    pub bytes: u64,
    /// The older files that were removed.
    pub removed: Vec<String>,
}

/// A file that replaces others.
pub(crate) struct NewFile<'save> {
    /// The name of the folder, below the root.
    pub folder: &'save str,
    /// The number that the name shows, unless there is a file of that name.
    pub number: u32,
    /// The ending of the name.
    pub ending: [u8; 3],
    /// The contents.
    pub bytes: &'save [u8],
}

/// The contents of a new entry.
enum Contents<'save> {
    File(&'save [u8]),
    EmptyFolder,
}

impl<D: BlockDevice> Disk<D> {
    /// Writes a file into `folder`, which has `files`, and removes the `older` ones among these.
    ///
    /// # Errors
    /// Unless the disk can't be written, nothing was changed.
    pub(crate) fn replace(
        &mut self,
        folder: Folder,
        files: &[File],
        mut older: Vec<&File>,
        new: &NewFile<'_>,
    ) -> Result<Saved, DiskError> {
        let stamp = match older.iter().copied().max_by_key(|file| file.stamp) {
            None => Stamp::FIRST,
            Some(file) => match file.stamp.next() {
                Some(next) => next,
                None => return Err(DiskError::NoLaterStamp { file: fallible::copy(&file.name)? }),
            },
        };
        let mut same = None;
        for &file in &older {
            if self.holds(file, new.bytes)? {
                same = Some(file);
                break;
            }
        }
        older.retain(|&file| Some(file) != same);
        let short = free_name(new, files)?;
        // All memory is allocated before anything is written, so running out of it changes nothing.
        let path = match same {
            Some(same) => fallible::format(format_args!("/{}/{}", new.folder, same.name))?,
            None => {
                let name = entry::short_name(&entry::write(&short, ARCHIVE, 0, 0, stamp))?;
                fallible::format(format_args!("/{}/{name}", new.folder))?
            }
        };
        let chains = self.chains(&older)?;
        let mut removed = Vec::new();
        for file in &older {
            fallible::push(&mut removed, fallible::copy(&file.name)?)?;
        }
        let taken = match same {
            // The bytes are on the disk already: their file becomes the newest.
            Some(same) => {
                self.change_entries(folder, same, |entry, last| {
                    if last {
                        entry::put_stamp(entry, stamp);
                    }
                })?;
                0
            }
            None => self.write_entry(folder, &short, stamp, &Contents::File(new.bytes))?.1,
        };
        self.flush()?;
        let released = self.remove(folder, &older, &chains)?;
        self.count_free(taken, released)?;
        self.flush()?;
        Ok(Saved { path, bytes: new.bytes.len() as u64, removed })
    }

    /// Makes an empty folder below the root. No file or folder there may have this name.
    pub(crate) fn create_folder(&mut self, short: &ShortName) -> Result<Folder, DiskError> {
        let (cluster, taken) = self.write_entry(self.layout.root, short, Stamp::FIRST, &Contents::EmptyFolder)?;
        self.flush()?;
        self.count_free(taken, 0)?;
        Ok(Folder::Chain { cluster })
    }

    /// Returns the clusters of each file. Those of a damaged file are not freed, since they may be another file's.
    pub(crate) fn chains(&mut self, files: &[&File]) -> Result<Vec<Vec<u32>>, DiskError> {
        let mut chains = Vec::new();
        for file in files {
            let chain = match self.chain(file) {
                Err(error @ DiskError::OutOfMemory { .. }) => return Err(error),
                found => found.unwrap_or_default(),
            };
            fallible::push(&mut chains, chain)?;
        }
        Ok(chains)
    }

    /// Steps 1 and 2, except for the last flush. Returns the first cluster, and the number of those that were allocated.
    fn write_entry(
        &mut self,
        folder: Folder,
        short: &ShortName,
        stamp: Stamp,
        contents: &Contents<'_>,
    ) -> Result<(u32, usize), DiskError> {
        let count = match contents {
            Contents::File(bytes) => bytes.len().div_ceil(self.layout.cluster_size()),
            Contents::EmptyFolder => 1,
        };
        let (position, last_cluster) = self.find_position(folder)?;
        let grows = position.is_none();
        let clusters = self.find_free(count + usize::from(grows))?;
        let (own, new) = clusters.split_at_checked(count).unwrap_or((&clusters, &[]));
        let first = own.first().copied().unwrap_or_default();
        let entry = match contents {
            Contents::File(bytes) => {
                self.fill(own, bytes)?;
                let found = bytes.len() as u64;
                let length = u32::try_from(found).map_err(|_| DiskError::TooLarge { found })?;
                entry::write(short, ARCHIVE, first, length, stamp)
            }
            Contents::EmptyFolder => {
                self.fill(own, &entry::write_dots(first))?;
                entry::write(short, FOLDER, first, 0, stamp)
            }
        };
        self.join(own)?;
        self.fill(new, &[])?;
        self.join(new)?;
        if let Some(end) = position.as_ref().and_then(|position| position.end) {
            let mut next = self.read_sector(end)?;
            put(&mut next, 0, &[LAST]);
            self.write_sector(end, &next)?;
        }
        self.flush()?;
        let position = match (position, new.first()) {
            (Some(position), _) => position,
            (None, Some(&cluster)) => {
                self.set_link(last_cluster, Some(cluster))?;
                self.write_table()?;
                self.flush()?;
                EntryPosition { sector: self.layout.sector_of(cluster)?, offset: 0, end: None }
            }
            (None, None) => return Err(DiskError::FolderFull),
        };
        let mut sector = self.read_sector(position.sector)?;
        let takes_mark = sector.get(position.offset) == Some(&LAST);
        put(&mut sector, position.offset, &entry);
        if takes_mark {
            put(&mut sector, position.offset + ENTRY_SIZE, &[LAST]);
        }
        self.write_sector(position.sector, &sector)?;
        Ok((first, clusters.len()))
    }

    /// Steps 3 and 4, except for the last flush. Returns the number of clusters that were freed.
    pub(crate) fn remove(&mut self, folder: Folder, files: &[&File], chains: &[Vec<u32>]) -> Result<usize, DiskError> {
        let mut released = 0;
        if files.is_empty() {
            return Ok(released);
        }
        for file in files {
            self.change_entries(folder, file, |entry, _| put(entry, 0, &[FREE]))?;
        }
        self.flush()?;
        for chain in chains {
            self.release(chain)?;
            released += chain.len();
        }
        Ok(released)
    }
}

/// Returns a short name that no file has: the number's eight digits, or those of a following number.
fn free_name(new: &NewFile<'_>, files: &[File]) -> Result<ShortName, DiskError> {
    let names = (0..NAMES).map(|tried| {
        let mut short = [b' '; 11];
        put(&mut short, 8, &new.ending);
        let number = new.number.wrapping_add(tried);
        for (position, digit) in short.iter_mut().take(8).zip((0..8).rev()) {
            let digit = (number >> (4 * digit) & 0xf) as u8;
            *position = if digit < 10 { b'0' + digit } else { b'A' + digit - 10 };
        }
        short
    });
    let mut free = names.filter(|short| files.iter().all(|file| file.short != *short));
    free.next().ok_or(DiskError::NoName)
}
