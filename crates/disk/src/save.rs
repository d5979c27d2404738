//! Saving a module.

use alloc::vec::Vec;

use bareflow_abi::header::{HEADER_SIZE, Header, MAGIC, is_name_byte};

use crate::device::BlockDevice;
use crate::entry::File;
use crate::error::DiskError;
use crate::replace::{NewFile, Saved};
use crate::{Disk, MAX_FILE_SIZE, MODULES, fallible};

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
        if found > MAX_FILE_SIZE {
            return Err(DiskError::TooLarge { found });
        }
        let saved = self.save_module(name, &header, blob);
        // A change that was not written now must not be written later.
        self.forget_table();
        saved
    }

    fn save_module(&mut self, name: &str, header: &Header, blob: &[u8]) -> Result<Saved, DiskError> {
        let folder = self.modules()?;
        let files = self.list_all(folder)?;
        let mut older: Vec<&File> = Vec::new();
        for file in &files {
            if self.is_of(file, name) {
                fallible::push(&mut older, file)?;
            }
        }
        let new = NewFile { folder: MODULES, number: header.checksum, ending: *b"MOD", bytes: blob };
        self.replace(folder, &files, older, &new)
    }

    /// Whether the file's header has the module name `name`. A file that can't be read has none.
    fn is_of(&mut self, file: &File, name: &str) -> bool {
        let mut head = [0; HEADER_SIZE];
        file.is_module()
            && self.read_head(file, &mut head) == Ok(true)
            && module_of(&Header::from_bytes(&head)) == Some(name)
    }
}
