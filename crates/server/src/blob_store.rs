//! The data kept for each loaded module besides its image.
//!
//! These are its file, its last input, and the diagnosis of its last fault.
//!
//! The file can be saved, and its blob copied for a comparison with another one.

use alloc::vec::Vec;
#[cfg(feature = "portable")]
use core::mem;

use bareflow_loader::{Diagnosis, ModuleId, Platform};
#[cfg(feature = "portable")]
use bareflow_protocol::tier::Tier;
use bareflow_suite::fallible::{self, NoMemory};
use bareflow_suite::module_file::ModuleFile;

#[cfg(feature = "portable")]
use crate::tiers::Due;

/// The longest input that is kept, in bytes.
const MAX_INPUT: usize = 64 << 10;

/// The data of all loads, in the order of their handles.
pub(crate) struct BlobStore<'blobs, P: Platform>(Vec<(ModuleId, StoredModule<'blobs, P>)>);

impl<P: Platform> Default for BlobStore<'_, P> {
    fn default() -> Self {
        BlobStore(Vec::new())
    }
}

/// The data kept for one load.
pub(crate) struct StoredModule<'blobs, P: Platform> {
    /// The module's file.
    pub file: ModuleFile<'blobs, P>,
    /// The input of its last call.
    pub input: Vec<u8>,
    /// The diagnosis of its last fault.
    pub diagnosis: Option<Diagnosis>,
}

impl<'blobs, P: Platform> BlobStore<'blobs, P> {
    /// Makes room for one more load, so that [`keep`](Self::keep) can't fail afterwards.
    pub fn reserve(&mut self) -> Result<(), NoMemory> {
        Ok(self.0.try_reserve(1)?)
    }

    /// Keeps a file, unless there is no room for the data of the load.
    pub fn keep(&mut self, id: ModuleId, file: ModuleFile<'blobs, P>) {
        let stored = StoredModule { file, input: Vec::new(), diagnosis: None };
        match self.position(id) {
            Ok(index) => {
                if let Some(known) = self.0.get_mut(index) {
                    known.1 = stored;
                }
            }
            Err(index) if self.reserve().is_ok() => self.0.insert(index, (id, stored)),
            Err(_) => {}
        }
    }

    fn position(&self, id: ModuleId) -> Result<usize, usize> {
        self.0.binary_search_by_key(&id, |(of, _)| *of)
    }

    /// Returns the data of a load.
    pub fn get(&self, id: ModuleId) -> Option<&StoredModule<'blobs, P>> {
        Some(&self.0.get(self.position(id).ok()?)?.1)
    }

    fn get_mut(&mut self, id: ModuleId) -> Option<&mut StoredModule<'blobs, P>> {
        let index = self.position(id).ok()?;
        Some(&mut self.0.get_mut(index)?.1)
    }

    /// Takes the file and the last input of the first module for which `look` finds a tier, to be
    /// [put back](Self::put_back).
    #[cfg(feature = "portable")]
    pub fn take_first(
        &mut self,
        look: impl Fn(ModuleId, &ModuleFile<'blobs, P>) -> Option<Tier>,
    ) -> Option<Due<'blobs, P>> {
        self.0.iter_mut().find_map(|(id, stored)| {
            let tier = look(*id, &stored.file)?;
            Some((*id, tier, mem::take(&mut stored.file), mem::take(&mut stored.input)))
        })
    }

    /// Puts a file back, with the last input unless there was another one meanwhile.
    #[cfg(feature = "portable")]
    pub fn put_back(&mut self, id: ModuleId, file: ModuleFile<'blobs, P>, input: Vec<u8>) {
        if self.position(id).is_err() {
            self.keep(id, ModuleFile::default());
        }
        if let Some(stored) = self.get_mut(id) {
            stored.file = file;
            if stored.input.is_empty() {
                stored.input = input;
            }
        }
    }

    /// Keeps an input, unless it is too long or there is no memory for it.
    pub fn note_input(&mut self, id: ModuleId, input: &[u8]) {
        if let Some(stored) = self.get_mut(id).filter(|stored| stored.input != input && input.len() <= MAX_INPUT)
            && let Ok(input) = fallible::copy(input)
        {
            stored.input = input;
        }
    }

    /// Keeps the diagnosis of a fault.
    pub fn note_fault(&mut self, id: ModuleId, diagnosis: Option<Diagnosis>) {
        if let Some(stored) = self.get_mut(id) {
            stored.diagnosis = diagnosis;
        }
    }

    /// Discards the data of modules that are gone.
    pub fn retain(&mut self, is_loaded: impl Fn(ModuleId) -> bool) {
        self.0.retain(|(id, _)| is_loaded(*id));
    }
}
