//! What is kept of each loaded module besides its image: its blob, so that it can be
//! saved and tried out against another one, its last input, and what is known of its last fault.

use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use bareflow_loader::{Diagnosis, ModuleProfile, Name};

/// Longest input that is kept, in bytes.
const MAX_INPUT: usize = 64 << 10;

/// A load: a name and which of its loads.
pub(crate) type Load = (Name, u32);

/// Which load a profile is that of.
pub(crate) const fn load_of(profile: &ModuleProfile) -> Load {
    (profile.name, profile.generation)
}

/// Everything that is kept, by load.
#[derive(Debug, Default)]
pub(crate) struct Library<'blobs>(BTreeMap<Load, Kept<'blobs>>);

/// What is kept of one load.
#[derive(Debug, Default)]
pub(crate) struct Kept<'blobs> {
    /// Its blob.
    pub blob: Cow<'blobs, [u8]>,
    /// What it was called with last.
    pub input: Vec<u8>,
    /// What is known of its last fault.
    pub diagnosis: Option<Diagnosis>,
}

impl<'blobs> Library<'blobs> {
    /// Keeps a blob.
    pub fn keep(&mut self, load: Load, blob: Cow<'blobs, [u8]>) {
        self.0.insert(load, Kept { blob, ..Kept::default() });
    }

    /// What is kept of a load.
    pub fn get(&self, load: &Load) -> Option<&Kept<'blobs>> {
        self.0.get(load)
    }

    /// Takes note of an input, unless it is too long to be kept.
    pub fn note_input(&mut self, load: &Load, input: &[u8]) {
        if let Some(kept) = self.0.get_mut(load).filter(|kept| kept.input != input && input.len() <= MAX_INPUT) {
            kept.input = input.to_vec();
        }
    }

    /// Takes note of what is known of a fault.
    pub fn note_fault(&mut self, load: &Load, diagnosis: Option<Diagnosis>) {
        if let Some(kept) = self.0.get_mut(load) {
            kept.diagnosis = diagnosis;
        }
    }

    /// Forgets what is gone.
    pub fn retain(&mut self, is_loaded: impl Fn(&Load) -> bool) {
        self.0.retain(|load, _| is_loaded(load));
    }
}
