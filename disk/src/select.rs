//! Which files are the modules to load.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Display;

use bareflow_abi::header::{HEADER_SIZE, Header};

use crate::device::BlockDevice;
use crate::entry::File;
use crate::error::DiskError;
use crate::save::module_of;
use crate::{Disk, fallible};

/// The modules on a disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// One file for each module, in the order of the modules' names.
    pub chosen: Vec<Chosen>,
    /// Files that can't be read or were refused.
    pub refused: Vec<Refused>,
    /// Files of modules that a newer file holds.
    pub superseded: Vec<String>,
}

/// A module and its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// The module's name, as the blob's header has it.
    pub module: String,
    /// The file.
    pub file: File,
}

/// A file that is not loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The file's name.
    pub file: String,
    /// What is wrong with it.
    pub error: String,
}

/// What ranks a module's files: date, version, place in the folder.
type Rank = (u32, [u32; 3], u32);

/// A file that may hold a module, that module, and its rank.
struct Candidate {
    module: String,
    rank: Rank,
    file: File,
}

/// What a file's header says that it holds; whether the rest is sound was not looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The module's name.
    pub module: String,
    /// Its version: major, minor, patch.
    pub version: [u32; 3],
}

impl<D: BlockDevice> Disk<D> {
    /// What a file holds by its header; nothing where that can't be read, or the file is no blob.
    ///
    /// # Errors
    /// When there is no memory for the name.
    pub fn identify(&mut self, file: &File) -> Result<Option<Identity>, DiskError> {
        let mut head = [0; HEADER_SIZE];
        if !file.is_module() || self.read_head(file, &mut head) != Ok(true) {
            return Ok(None);
        }
        let header = Header::from_bytes(&head);
        let Some(module) = module_of(&header) else { return Ok(None) };
        let version = [header.version_major, header.version_minor, header.version_patch];
        Ok(Some(Identity { module: fallible::copy(module)?, version }))
    }

    /// The newest file of a module in `/modules`, as [`select`](Disk::select) ranks them; whether it is sound was not
    /// looked at.
    ///
    /// # Errors
    /// When there is no folder `/modules`, or it can't be looked for, or there is no memory for its listing.
    pub fn find(&mut self, module: &str) -> Result<Option<File>, DiskError> {
        let mut best: Option<(Rank, File)> = None;
        for file in self.list()?.files {
            let Some(found) = self.identify(&file)?.filter(|found| found.module == module) else { continue };
            let rank = (file.stamp.0, found.version, *file.entries.end());
            if best.as_ref().is_none_or(|(highest, _)| rank > *highest) {
                best = Some((rank, file));
            }
        }
        Ok(best.map(|(_, file)| file))
    }

    /// Chooses the files to load: all of `/modules` whose names end in `.mod`. Of the files of
    /// one module, the newest that `validate` accepts is chosen: the one with the latest
    /// date; of those with the same date, the one with the highest version, then the one that comes
    /// last in the folder. Files that have no module's name are refused with what
    /// `validate` says. One file is in memory at a time.
    ///
    /// # Errors
    /// When there is no folder `/modules`, or it can't be looked for, or there is no memory for the selection. A folder that can be read in
    /// part is gone through in part, and refused under its own name besides.
    pub fn select<E: Display>(
        &mut self,
        mut validate: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<Selection, DiskError> {
        let listing = self.list()?;
        let mut selection = Selection::default();
        let mut candidates: Vec<Candidate> = Vec::new();
        for file in listing.files.into_iter().filter(File::is_module) {
            match self.candidate(file, &mut validate)? {
                Ok(candidate) => fallible::push(&mut candidates, candidate)?,
                Err(refused) => fallible::push(&mut selection.refused, refused)?,
            }
        }
        if let Some(error) = listing.cut {
            let file = fallible::format(format_args!("/{}", crate::MODULES))?;
            let error = fallible::format(format_args!("{error}"))?;
            fallible::push(&mut selection.refused, Refused { file, error })?;
        }
        // By module, the best of each first. No two have the same place in the folder, and nothing is allocated.
        candidates.sort_unstable_by(|a, b| a.module.cmp(&b.module).then(b.rank.cmp(&a.rank)));
        for Candidate { module, file, .. } in candidates {
            if selection.chosen.last().is_some_and(|chosen| chosen.module == module) {
                fallible::push(&mut selection.superseded, file.name)?;
                continue;
            }
            match self.validate(&file, &mut validate)? {
                Ok(()) => fallible::push(&mut selection.chosen, Chosen { module, file })?,
                Err(error) => fallible::push(&mut selection.refused, Refused { file: file.name, error })?,
            }
        }
        Ok(selection)
    }

    /// The module that the file's header names, and the file's rank among that module's; or why there is none.
    fn candidate<E: Display>(
        &mut self,
        file: File,
        validate: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<Result<Candidate, Refused>, DiskError> {
        let mut head = [0; HEADER_SIZE];
        let read = self.read_head(&file, &mut head);
        let header = Header::from_bytes(&head);
        let error = match (read, module_of(&header)) {
            (Err(error), _) => fallible::format(format_args!("{error}"))?,
            (Ok(true), Some(module)) => {
                let version = [header.version_major, header.version_minor, header.version_patch];
                let rank = (file.stamp.0, version, *file.entries.end());
                return Ok(Ok(Candidate { module: fallible::copy(module)?, rank, file }));
            }
            _ => match self.validate(&file, validate)? {
                Err(error) => error,
                Ok(()) => fallible::format(format_args!(
                    "{} bytes without a module's name, expected a blob; pack the module again",
                    file.bytes
                ))?,
            },
        };
        Ok(Err(Refused { file: file.name, error }))
    }

    /// What `validate` says of the file, or why it can't be read: a file that is too large for the memory there is
    /// is refused alone.
    fn validate<E: Display>(
        &mut self,
        file: &File,
        validate: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<Result<(), String>, DiskError> {
        let error = match self.read(file) {
            Ok(bytes) => match validate(&bytes) {
                Ok(()) => return Ok(Ok(())),
                Err(error) => fallible::format(format_args!("{error}"))?,
            },
            Err(error) => fallible::format(format_args!("{error}"))?,
        };
        Ok(Err(error))
    }
}
