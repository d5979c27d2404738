//! Which files are the modules to load.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Display;

use bareflow_abi::header::{HEADER_SIZE, Header};

use crate::Disk;
use crate::device::BlockDevice;
use crate::entry::File;
use crate::error::DiskError;
use crate::save::module_of;

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

/// A file that may hold a module, and what ranks it: date, version, place in the folder.
struct Candidate {
    rank: (u32, [u32; 3], u32),
    file: File,
}

impl<D: BlockDevice> Disk<D> {
    /// Chooses the files to load: all of `/modules` whose names end in `.mod`. Of the files of
    /// one module, the newest that `validate` accepts is chosen: the one with the latest
    /// date; of those with the same date, the one with the highest version, then the one that comes
    /// last in the folder. Files that have no module's name are refused with what
    /// `validate` says. One file is in memory at a time.
    ///
    /// # Errors
    /// When there is no folder `/modules`, or it can't be looked for. A folder that can be read in
    /// part is gone through in part, and refused under its own name besides.
    pub fn select<E: Display>(
        &mut self,
        mut validate: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<Selection, DiskError> {
        let listing = self.list()?;
        let mut selection = Selection::default();
        let mut modules: BTreeMap<String, Vec<Candidate>> = BTreeMap::new();
        for file in listing.files.into_iter().filter(File::is_module) {
            match self.candidate(file, &mut validate) {
                Ok((module, candidate)) => modules.entry(module).or_default().push(candidate),
                Err(refused) => selection.refused.push(refused),
            }
        }
        if let Some(error) = listing.cut {
            let file = alloc::format!("/{}", crate::MODULES);
            selection.refused.push(Refused { file, error: error.to_string() });
        }
        for (module, mut candidates) in modules {
            candidates.sort_by_key(|candidate| core::cmp::Reverse(candidate.rank));
            let mut chosen = false;
            for Candidate { file, .. } in candidates {
                if chosen {
                    selection.superseded.push(file.name);
                    continue;
                }
                match self.validate(&file, &mut validate) {
                    Ok(()) => {
                        chosen = true;
                        selection.chosen.push(Chosen { module: module.clone(), file });
                    }
                    Err(error) => selection.refused.push(Refused { file: file.name, error }),
                }
            }
        }
        Ok(selection)
    }

    /// The module that the file's header names, and the file's rank among that module's.
    fn candidate<E: Display>(
        &mut self,
        file: File,
        validate: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(String, Candidate), Refused> {
        let mut head = [0; HEADER_SIZE];
        let read = self.read_head(&file, &mut head).map_err(|error| error.to_string());
        let header = Header::from_bytes(&head);
        let error = match (read, module_of(&header)) {
            (Err(error), _) => error,
            (Ok(true), Some(module)) => {
                let version = [header.version_major, header.version_minor, header.version_patch];
                let rank = (file.stamp.0, version, *file.entries.end());
                return Ok((module.to_string(), Candidate { rank, file }));
            }
            _ => self.validate(&file, validate).err().unwrap_or_else(|| {
                let found = file.bytes;
                alloc::format!("{found} bytes without a module's name, expected a blob; pack the module again")
            }),
        };
        Err(Refused { file: file.name, error })
    }

    fn validate<E: Display>(
        &mut self,
        file: &File,
        validate: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), String> {
        let bytes = self.read(file).map_err(|error| error.to_string())?;
        validate(&bytes).map_err(|error| error.to_string())
    }
}
