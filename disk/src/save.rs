//! Saving a module so that power may go at any write.
//!
//! The steps, with a flush behind each:
//! 1. The new file's bytes and its chain in the table. Nothing leads to them yet. Where the
//!    folder has to grow, its new cluster comes next, emptied before it is joined to the folder.
//! 2. The new file's entry: one sector. From here on it is there, whole, and the newest.
//! 3. The entries of the module's older files go.
//! 4. Their clusters become free.
//!
//! So an entry never leads to clusters that aren't the file's own. What a loss of power may leave
//! behind are clusters that are taken and nobody's (`fsck.vfat -a` frees them), and
//! an older file beside the new one, which the next save of that module removes.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use bareflow_abi::header::{HEADER_SIZE, Header, MAGIC, is_name_byte};

use crate::Disk;
use crate::bytes::put;
use crate::device::BlockDevice;
use crate::entry::{self, ENTRY_SIZE, FREE, File, LAST, ShortName};
use crate::error::DiskError;
use crate::file::MAX_FILE_SIZE;
use crate::layout::Folder;
use crate::place::Place;
use crate::stamp::Stamp;

/// Names that are tried, from the checksum on.
const NAMES: u32 = 65536;

/// What came of a save.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// The file's path: `/modules/1A2B3C4D.MOD`.
    pub path: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// Older files of the module that were removed.
    pub removed: Vec<String>,
}

/// The module's name that a blob's header carries, if the blob is one.
pub(crate) fn module_of(header: &Header) -> Option<&str> {
    let name = header.name_bytes();
    let valid = header.magic == MAGIC && !name.is_empty() && name.iter().copied().all(is_name_byte);
    core::str::from_utf8(name).ok().filter(|_| valid)
}

impl<D: BlockDevice> Disk<D> {
    /// Writes the blob of module `name` into `/modules` and removes older files of the module.
    /// Whenever power goes, the module can be read at the next start: as it was, or as it is in `blob`.
    ///
    /// # Errors
    /// When `blob` is none of that module, the disk is full or damaged, or it can't be written.
    /// Unless it can't be written, nothing was changed then.
    pub fn save(&mut self, name: &str, blob: &[u8]) -> Result<Saved, DiskError> {
        let header = blob.first_chunk::<HEADER_SIZE>().map(Header::from_bytes);
        let header = header.filter(|header| module_of(header) == Some(name));
        let header = header.ok_or_else(|| DiskError::NotThatModule { expected: name.to_string() })?;
        let found = blob.len() as u64;
        let bytes = u32::try_from(found).ok().filter(|_| found <= MAX_FILE_SIZE);
        let bytes = bytes.ok_or(DiskError::TooLarge { found })?;
        let saved = self.save_module(name, &header, blob, bytes);
        // A change that was not written must not be later.
        self.forget_table();
        saved
    }

    fn save_module(&mut self, name: &str, header: &Header, blob: &[u8], bytes: u32) -> Result<Saved, DiskError> {
        let folder = self.modules()?;
        let listing = self.list_folder(folder);
        if let Some(error) = listing.cut {
            return Err(error);
        }
        let older: Vec<&File> = listing.files.iter().filter(|file| self.is_of(file, name)).collect();
        let newest = older.iter().copied().max_by_key(|file| file.stamp);
        let stamp = match newest {
            None => Stamp::FIRST,
            Some(file) => file.stamp.next().ok_or_else(|| DiskError::NoLaterStamp { file: file.name.clone() })?,
        };
        let same = older.iter().copied().find(|file| self.holds(file, blob));
        let (file, taken) = match same {
            // The bytes are there already: the file becomes the newest.
            Some(same) => {
                self.change_entries(folder, same, |entry, last| {
                    if last {
                        entry::put_stamp(entry, stamp);
                    }
                })?;
                (same.name.clone(), 0)
            }
            None => {
                let short = free_name(header.checksum, &listing.files)?;
                let taken = self.write_file(folder, &short, blob, bytes, stamp)?;
                (entry::short_name(&entry::write(&short, 0, 0, stamp)), taken)
            }
        };
        self.flush()?;
        let older: Vec<&File> = older.into_iter().filter(|&file| Some(file) != same).collect();
        let released = self.remove(folder, &older)?;
        self.count_free(taken, released)?;
        self.flush()?;
        let removed = older.iter().map(|file| file.name.clone()).collect();
        Ok(Saved { path: alloc::format!("/{}/{file}", crate::MODULES), bytes: u64::from(bytes), removed })
    }

    /// Whether the file's header carries that module name. One that can't be read carries none.
    fn is_of(&mut self, file: &File, name: &str) -> bool {
        let mut head = [0; HEADER_SIZE];
        file.is_module()
            && self.read_head(file, &mut head) == Ok(true)
            && module_of(&Header::from_bytes(&head)) == Some(name)
    }

    /// Steps 1 and 2 but for the last flush. Returns how many clusters were taken.
    fn write_file(
        &mut self,
        folder: Folder,
        short: &ShortName,
        blob: &[u8],
        bytes: u32,
        stamp: Stamp,
    ) -> Result<usize, DiskError> {
        let count = blob.len().div_ceil(self.layout.cluster_size());
        let (place, last_cluster) = self.find_place(folder)?;
        let grows = place.is_none();
        let clusters = self.find_free(count + usize::from(grows))?;
        let (own, new) = clusters.split_at_checked(count).unwrap_or((&clusters, &[]));
        self.fill(own, blob)?;
        self.join(own)?;
        self.fill(new, &[])?;
        self.join(new)?;
        if let Some(end) = place.as_ref().and_then(|place| place.end) {
            let mut next = self.read_sector(end)?;
            put(&mut next, 0, &[LAST]);
            self.write_sector(end, &next)?;
        }
        self.flush()?;
        let place = match (place, new.first()) {
            (Some(place), _) => place,
            (None, Some(&cluster)) => {
                self.set_link(last_cluster, Some(cluster))?;
                self.write_table()?;
                self.flush()?;
                Place { sector: self.layout.sector_of(cluster)?, offset: 0, end: None }
            }
            (None, None) => return Err(DiskError::FolderFull),
        };
        let mut sector = self.read_sector(place.sector)?;
        let takes_mark = sector.get(place.offset) == Some(&LAST);
        put(&mut sector, place.offset, &entry::write(short, own.first().copied().unwrap_or_default(), bytes, stamp));
        if takes_mark {
            put(&mut sector, place.offset + ENTRY_SIZE, &[LAST]);
        }
        self.write_sector(place.sector, &sector)?;
        Ok(clusters.len())
    }

    /// Steps 3 and 4 but for the last flush. Returns how many clusters became free.
    fn remove(&mut self, folder: Folder, files: &[&File]) -> Result<usize, DiskError> {
        let mut released = 0;
        if files.is_empty() {
            return Ok(released);
        }
        // A chain that is damaged may lead to another file's clusters: it stays.
        let chains: Vec<_> = files.iter().map(|file| self.chain(file).unwrap_or_default()).collect();
        for file in files {
            self.change_entries(folder, file, |entry, _| put(entry, 0, &[FREE]))?;
        }
        self.flush()?;
        for chain in &chains {
            self.release(chain)?;
            released += chain.len();
        }
        Ok(released)
    }
}

/// A short name that no file has: the checksum's eight digits, or those of a number behind it.
fn free_name(checksum: u32, files: &[File]) -> Result<ShortName, DiskError> {
    let names = (0..NAMES).map(|tried| {
        let mut short = *b"        MOD";
        put(&mut short, 0, alloc::format!("{:08X}", checksum.wrapping_add(tried)).as_bytes());
        short
    });
    let mut free = names.filter(|short| files.iter().all(|file| file.short != *short));
    free.next().ok_or(DiskError::NoName)
}
