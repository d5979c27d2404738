//! Selection of the files to load.

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
    /// One file for each module, sorted by the modules' names.
    pub chosen: Vec<Chosen>,
    /// Files that can't be read or were refused.
    pub refused: Vec<Refused>,
    /// Files of modules for which there is a newer file.
    pub superseded: Vec<String>,
}

/// A module and its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// The module's name in the blob's header.
    pub module: String,
    /// The file.
    pub file: File,
}

/// A file that is not loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The file's name.
    pub file: String,
    /// The reason.
    pub error: String,
}

/// The ranking of a module's files: time, version, position in the folder.
type Rank = (u32, [u32; 3], u32);

/// A file that may contain a module, the module's name, and the file's rank.
struct Candidate {
    module: String,
    rank: Rank,
    file: File,
}

/// The module that a file's header names; the rest of the file was not checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The module's name.
    pub module: String,
    /// The module's version: major, minor, patch.
    pub version: [u32; 3],
}

impl<D: BlockDevice> Disk<D> {
    /// Returns the module that a file's header names; `None` if the header can't be read or is not a blob's.
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

    /// Finds the newest file of a module in `/modules`, in the ranking of [`select`](Disk::select). The file's contents
    /// are not checked.
    ///
    /// # Errors
    /// When there is no folder `/modules`, it can't be searched for, or there is no memory for its listing.
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

    /// Selects the files to load from those in `/modules` whose names end in `.mod`.
    ///
    /// Of the files of one module, the newest that `validate` accepts is chosen: the one with the latest time; among
    /// equal times the one with the highest version, then the one that comes last in the folder. Files without a
    /// module's name are refused with the error of `validate`. Only one file is in memory at a time.
    ///
    /// # Errors
    /// When there is no folder `/modules`, it can't be searched for, or there is no memory for the selection. If a
    /// folder can be read only in part, that part is used, and the folder itself is also listed as refused.
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
        // Sorted by module, best candidates first. An unstable sort will do, as no two positions in the folder are
        // equal, and it does not allocate.
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

    /// Returns the module that the file's header names and the file's rank, or the reason why there is none.
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

    /// Validates a file. Returns the error of `validate`, or the one of reading the file: a file that is too large for
    /// the available memory is the only one refused.
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
