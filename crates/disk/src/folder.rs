//! Folders: their sectors one by one, and their listing.

use alloc::vec::Vec;

use crate::MAX_FILES;
use crate::device::{BlockDevice, SECTOR_SIZE, Sector};
use crate::entry::{self, DirectoryEntry, ENTRY_SIZE, FREE, File, LAST};
use crate::error::DiskError;
use crate::layout::{Folder, Kind};
use crate::long_name::LongName;
use crate::table::ClusterLink;
use crate::{Disk, MODULES, fallible};

/// The largest number of sectors of a folder: 65536 entries.
const MAX_SECTORS: u32 = 65536 / ENTRIES;

/// The number of entries in a sector.
pub const ENTRIES: u32 = (SECTOR_SIZE / ENTRY_SIZE) as u32;

/// The listing of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// The files and folders, in the folder's order.
    pub files: Vec<File>,
    /// The error that kept the rest from being read, if any.
    pub cut: Option<DiskError>,
}

/// A position in a folder, which moves from sector to sector.
#[derive(Debug)]
pub struct Walk {
    folder: Folder,
    /// The number of sectors passed.
    passed: u32,
    /// The current cluster, or the last one at the end.
    pub cluster: u32,
}

impl Walk {
    /// Starts at the first sector.
    pub fn new(folder: Folder) -> Walk {
        let cluster = if let Folder::Chain { cluster } = folder { cluster } else { 0 };
        Walk { folder, passed: 0, cluster }
    }
}

impl<D: BlockDevice> Disk<D> {
    /// Finds the folder `/modules`.
    pub(crate) fn modules(&mut self) -> Result<Folder, DiskError> {
        self.find_folder(MODULES)?.ok_or(DiskError::NoModulesFolder)
    }

    /// Finds a folder below the root; `None` if there is none of that name.
    pub(crate) fn find_folder(&mut self, name: &str) -> Result<Option<Folder>, DiskError> {
        let listing = self.list_folder(self.layout.root)?;
        let mut folders = listing.files.into_iter().filter(|file| file.folder);
        match folders.find(|folder| folder.name.eq_ignore_ascii_case(name)) {
            Some(File { problem: Some(problem), .. }) => Err(problem),
            Some(found) => Ok(Some(Folder::Chain { cluster: found.first_cluster })),
            None => listing.cut.map_or(Ok(None), Err),
        }
    }

    /// Lists a folder, all of which must be readable.
    pub(crate) fn list_all(&mut self, folder: Folder) -> Result<Vec<File>, DiskError> {
        let listing = self.list_folder(folder)?;
        listing.cut.map_or(Ok(listing.files), Err)
    }

    /// Lists a folder, as far as it can be read.
    pub(crate) fn list_folder(&mut self, folder: Folder) -> Result<Listing, DiskError> {
        let mut files = Vec::new();
        match self.collect(folder, &mut files) {
            // The folder is not damaged: a partial listing would make its files seem to be gone.
            Err(error @ DiskError::OutOfMemory { .. }) => Err(error),
            collected => Ok(Listing { files, cut: collected.err() }),
        }
    }

    fn collect(&mut self, folder: Folder, files: &mut Vec<File>) -> Result<(), DiskError> {
        let (mut walk, mut long_name, mut number) = (Walk::new(folder), LongName::default(), 0);
        while let Some(sector) = self.next_sector(&mut walk)? {
            let bytes = self.read_sector(sector)?;
            for entry in bytes.as_chunks::<ENTRY_SIZE>().0 {
                match entry.first() {
                    Some(&LAST) => return Ok(()),
                    Some(&FREE) => long_name = LongName::default(),
                    _ if entry::is_long_name(entry) => long_name.push(entry, number),
                    _ if entry::is_file(entry) => {
                        if files.len() == MAX_FILES {
                            return Err(DiskError::TooManyFiles);
                        }
                        let file = self.read_entry(entry, number, &mut long_name)?;
                        fallible::push(files, file)?;
                    }
                    _ => long_name = LongName::default(),
                }
                number += 1;
            }
        }
        Ok(())
    }

    fn read_entry(&self, entry: &DirectoryEntry, number: u32, long_name: &mut LongName) -> Result<File, DiskError> {
        let mut file = entry::read(entry, number..=number, self.layout.kind == Kind::Fat32);
        let (name, first) = match long_name.take(&file.short)? {
            Some(found) => found,
            None => (entry::short_name(entry)?, number),
        };
        file.name = name;
        file.entries = first..=number;
        let has_clusters = file.folder || file.bytes > 0;
        file.problem = if has_clusters { self.layout.sector_of(file.first_cluster).err() } else { None };
        Ok(file)
    }

    /// Returns the next sector of a folder, or `None` after the last one.
    pub(crate) fn next_sector(&mut self, walk: &mut Walk) -> Result<Option<u64>, DiskError> {
        let passed = walk.passed;
        walk.passed += 1;
        match walk.folder {
            Folder::Fixed { first, sectors } => Ok((passed < sectors).then_some(first + u64::from(passed))),
            Folder::Chain { .. } => {
                let inside = passed % self.layout.cluster_sectors;
                if passed > 0 && inside == 0 {
                    match self.link(walk.cluster)? {
                        ClusterLink::Next(next) => walk.cluster = next,
                        ClusterLink::End => return Ok(None),
                        ClusterLink::Free => return Err(DiskError::ClusterUnused { cluster: walk.cluster }),
                        ClusterLink::Bad(found) => {
                            return Err(DiskError::ClusterOutside { found, highest: self.layout.highest() });
                        }
                    }
                }
                if passed >= MAX_SECTORS {
                    return Err(DiskError::FolderTooLong);
                }
                Ok(Some(self.layout.sector_of(walk.cluster)? + u64::from(inside)))
            }
        }
    }

    /// Whether a folder whose end [`next_sector`](Disk::next_sector) has reached may grow by a cluster.
    pub(crate) fn may_grow(&self, walk: &Walk) -> bool {
        matches!(walk.folder, Folder::Chain { .. }) && walk.passed - 1 + self.layout.cluster_sectors <= MAX_SECTORS
    }

    /// Reads one sector.
    pub(crate) fn read_sector(&mut self, sector: u64) -> Result<Sector, DiskError> {
        let mut bytes = [0; SECTOR_SIZE];
        self.device.read(sector, &mut bytes).map_err(DiskError::device("read", sector))?;
        Ok(bytes)
    }

    /// Writes one sector.
    pub(crate) fn write_sector(&mut self, sector: u64, bytes: &Sector) -> Result<(), DiskError> {
        self.device.write(sector, bytes).map_err(DiskError::device("write", sector))
    }

    /// Returns when all earlier writes are permanent.
    pub(crate) fn flush(&mut self) -> Result<(), DiskError> {
        self.device.flush().map_err(DiskError::device("flush", 0))
    }
}
