//! Saving a module such that power may be lost at any write.
//!
//! There is a flush after each of these steps:
//! 1. The new file's bytes and its chain in the table are written. Nothing refers to them yet. If the folder must grow,
//!    its new cluster is cleared and then appended to the folder.
//! 2. The new file's entry is written: one sector. From here on the file exists, complete, and is the newest.
//! 3. The entries of the module's older files are removed.
//! 4. Their clusters are freed.
//!
//! Therefore an entry never refers to clusters that aren't the file's own. A loss of power may leave allocated clusters
//! that belong to no file (`fsck.vfat -a` frees them), or an older file beside the new one, which the next save of that
//! module removes.

use alloc::string::String;
use alloc::vec::Vec;

use bareflow_abi::header::{HEADER_SIZE, Header, MAGIC, is_name_byte};

use crate::MAX_FILE_SIZE;
use crate::bytes::put;
use crate::device::BlockDevice;
use crate::entry::{self, ENTRY_SIZE, FREE, File, LAST, ShortName};
use crate::entry_position::EntryPosition;
use crate::error::DiskError;
use crate::layout::Folder;
use crate::stamp::Stamp;
use crate::{Disk, fallible};

/// The number of names that are tried, starting with the checksum.
const NAMES: u32 = 65536;

/// The outcome of a save.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// The file's path: `/modules/1A2B3C4D.MOD`.
    pub path: String,
    /// The file's length in bytes.
    pub bytes: u64,
    /// The older files of the module that were removed.
    pub removed: Vec<String>,
}

/// Returns the name of the module in a blob's header, if it is a blob's.
pub(crate) fn module_of(header: &Header) -> Option<&str> {
    let name = header.name_bytes();
    let valid = header.magic == MAGIC && !name.is_empty() && name.iter().copied().all(is_name_byte);
    core::str::from_utf8(name).ok().filter(|_| valid)
}

impl<D: BlockDevice> Disk<D> {
    /// Writes the blob of module `name` into `/modules`, and removes older files of the module.
    ///
    /// Whenever power is lost, the module can be read at the next start: either its previous version, or `blob`.
    ///
    /// # Errors
    /// When `blob` is not one of that module, the disk is full or damaged, or it can't be written. Except in the last
    /// case, nothing was changed.
    pub fn save(&mut self, name: &str, blob: &[u8]) -> Result<Saved, DiskError> {
        let header = blob.first_chunk::<HEADER_SIZE>().map(Header::from_bytes);
        let header = header.filter(|header| module_of(header) == Some(name));
        let Some(header) = header else { return Err(DiskError::NotThatModule { expected: fallible::copy(name)? }) };
        let found = blob.len() as u64;
        let bytes = u32::try_from(found).ok().filter(|_| found <= MAX_FILE_SIZE);
        let bytes = bytes.ok_or(DiskError::TooLarge { found })?;
        let saved = self.save_module(name, &header, blob, bytes);
        // A change that was not written now must not be written later.
        self.forget_table();
        saved
    }

    fn save_module(&mut self, name: &str, header: &Header, blob: &[u8], bytes: u32) -> Result<Saved, DiskError> {
        let folder = self.modules()?;
        let listing = self.list_folder(folder)?;
        if let Some(error) = listing.cut {
            return Err(error);
        }
        let mut older: Vec<&File> = Vec::new();
        for file in &listing.files {
            if self.is_of(file, name) {
                fallible::push(&mut older, file)?;
            }
        }
        let stamp = match older.iter().copied().max_by_key(|file| file.stamp) {
            None => Stamp::FIRST,
            Some(file) => match file.stamp.next() {
                Some(next) => next,
                None => return Err(DiskError::NoLaterStamp { file: fallible::copy(&file.name)? }),
            },
        };
        let mut same = None;
        for &file in &older {
            if self.holds(file, blob)? {
                same = Some(file);
                break;
            }
        }
        older.retain(|&file| Some(file) != same);
        let short = free_name(header.checksum, &listing.files)?;
        // All memory is allocated before anything is written, so running out of it changes nothing.
        let path = match same {
            Some(same) => fallible::format(format_args!("/{}/{}", crate::MODULES, same.name))?,
            None => {
                let name = entry::short_name(&entry::write(&short, 0, 0, stamp))?;
                fallible::format(format_args!("/{}/{name}", crate::MODULES))?
            }
        };
        let (mut chains, mut removed) = (Vec::new(), Vec::new());
        for file in &older {
            let chain = match self.chain(file) {
                Err(error @ DiskError::OutOfMemory { .. }) => return Err(error),
                // A damaged chain may lead to another file's clusters, so its clusters are not freed.
                found => found.unwrap_or_default(),
            };
            fallible::push(&mut chains, chain)?;
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
            None => self.write_file(folder, &short, blob, bytes, stamp)?,
        };
        self.flush()?;
        let released = self.remove(folder, &older, &chains)?;
        self.count_free(taken, released)?;
        self.flush()?;
        Ok(Saved { path, bytes: u64::from(bytes), removed })
    }

    /// Whether the file's header has the module name `name`. A file that can't be read has none.
    fn is_of(&mut self, file: &File, name: &str) -> bool {
        let mut head = [0; HEADER_SIZE];
        file.is_module()
            && self.read_head(file, &mut head) == Ok(true)
            && module_of(&Header::from_bytes(&head)) == Some(name)
    }

    /// Steps 1 and 2, except for the last flush. Returns the number of clusters that were allocated.
    fn write_file(
        &mut self,
        folder: Folder,
        short: &ShortName,
        blob: &[u8],
        bytes: u32,
        stamp: Stamp,
    ) -> Result<usize, DiskError> {
        let count = blob.len().div_ceil(self.layout.cluster_size());
        let (position, last_cluster) = self.find_position(folder)?;
        let grows = position.is_none();
        let clusters = self.find_free(count + usize::from(grows))?;
        let (own, new) = clusters.split_at_checked(count).unwrap_or((&clusters, &[]));
        self.fill(own, blob)?;
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
        put(&mut sector, position.offset, &entry::write(short, own.first().copied().unwrap_or_default(), bytes, stamp));
        if takes_mark {
            put(&mut sector, position.offset + ENTRY_SIZE, &[LAST]);
        }
        self.write_sector(position.sector, &sector)?;
        Ok(clusters.len())
    }

    /// Steps 3 and 4, except for the last flush. Returns the number of clusters that were freed.
    fn remove(&mut self, folder: Folder, files: &[&File], chains: &[Vec<u32>]) -> Result<usize, DiskError> {
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

/// Returns a short name that no file has: the checksum's eight digits, or those of a following number.
fn free_name(checksum: u32, files: &[File]) -> Result<ShortName, DiskError> {
    let names = (0..NAMES).map(|tried| {
        let mut short = *b"        MOD";
        let number = checksum.wrapping_add(tried);
        for (position, digit) in short.iter_mut().take(8).zip((0..8).rev()) {
            let digit = (number >> (4 * digit) & 0xf) as u8;
            *position = if digit < 10 { b'0' + digit } else { b'A' + digit - 10 };
        }
        short
    });
    let mut free = names.filter(|short| files.iter().all(|file| file.short != *short));
    free.next().ok_or(DiskError::NoName)
}
