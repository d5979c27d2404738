//! Values by their keys, each in a file of its own in `/store`.
//!
//! A file's name is a hash of its key, in digits. It begins with a mark and the key, padded with zeros; the value
//! follows. A value is replaced as a module is saved: whenever power is lost, the old one or the new one is there.

use alloc::string::String;
use alloc::vec::Vec;

use crate::bytes::put;
use crate::device::BlockDevice;
use crate::entry::{File, ShortName};
use crate::error::DiskError;
use crate::layout::Folder;
use crate::replace::{NAMES, NewFile};
use crate::{Disk, MAX_FILE_SIZE, MAX_FILES, fallible};

/// The folder of the values, below the root. The first value that is put makes it.
pub const STORE: &str = "store";

/// The longest key, in bytes.
pub const MAX_KEY_LENGTH: usize = 64;

/// The number of files in the folder from which on it takes no other key.
const MAX_VALUES: usize = 1024;

/// The folder's short name.
const SHORT_STORE: ShortName = *b"STORE      ";

/// The ending of the files' names.
const ENDING: [u8; 3] = *b"KEY";

/// The bytes that each file begins with.
const MARK: [u8; 4] = *b"BFKV";

/// The size of what lies before the value, in bytes.
const HEAD_SIZE: usize = MARK.len() + MAX_KEY_LENGTH;

/// The beginning of a file: the mark, and the key.
type Head = [u8; HEAD_SIZE];

impl<D: BlockDevice> Disk<D> {
    /// Returns the value of a key, which is `at_most` bytes long; `None` if there is none.
    ///
    /// # Errors
    /// When the key is none, the value is longer, or the disk can't be read.
    pub fn value(&mut self, key: &str, at_most: usize) -> Result<Option<Vec<u8>>, DiskError> {
        let Some(file) = self.newest_of(key)? else { return Ok(None) };
        if file.bytes > (HEAD_SIZE + at_most) as u64 {
            return Err(DiskError::TooLarge { found: file.bytes });
        }
        let mut bytes = self.read(&file)?;
        bytes.drain(..HEAD_SIZE.min(bytes.len()));
        Ok(Some(bytes))
    }

    /// Returns the length of a key's value, in bytes; `None` if there is none.
    ///
    /// # Errors
    /// When the key is none, or the disk can't be read.
    pub fn value_length(&mut self, key: &str) -> Result<Option<u64>, DiskError> {
        Ok(self.newest_of(key)?.map(|file| file.bytes.saturating_sub(HEAD_SIZE as u64)))
    }

    /// Sets the value of a key. Whenever power is lost, the old value or the new one is there.
    ///
    /// # Errors
    /// When the key is none, the disk is full or damaged, or it can't be written. Except in the last case, nothing was
    /// changed.
    pub fn put_value(&mut self, key: &str, value: &[u8]) -> Result<(), DiskError> {
        let head = head_of(key)?;
        let length = HEAD_SIZE + value.len();
        if length as u64 > MAX_FILE_SIZE {
            return Err(DiskError::TooLarge { found: length as u64 });
        }
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(length).map_err(|_| DiskError::OutOfMemory { wanted: length as u64 })?;
        bytes.extend_from_slice(&head);
        bytes.extend_from_slice(value);
        let done = self.put(&head, &bytes);
        // As for modules: a change that was not written now must not be written later.
        self.forget_table();
        done
    }

    /// Removes a key with its value. Returns whether it was there. Whenever power is lost, it is there or it is not.
    ///
    /// # Errors
    /// When the key is none, the disk is damaged, or it can't be written.
    pub fn remove_value(&mut self, key: &str) -> Result<bool, DiskError> {
        let done = self.take_out(&head_of(key)?);
        self.forget_table();
        done
    }

    /// Returns all keys, in ascending order.
    ///
    /// # Errors
    /// When the disk can't be read.
    pub fn keys(&mut self) -> Result<Vec<String>, DiskError> {
        let mut keys = Vec::new();
        let Some(folder) = self.find_folder(STORE)? else { return Ok(keys) };
        for file in self.list_all(folder)?.iter().filter(|file| is_value(file)) {
            let mut head: Head = [0; HEAD_SIZE];
            let is_read = self.read_head(file, &mut head)?;
            if let Some(key) = key_of(&head).filter(|_| is_read) {
                fallible::push(&mut keys, fallible::copy(key)?)?;
            }
        }
        keys.sort_unstable();
        // A loss of power may have left an older file.
        keys.dedup();
        Ok(keys)
    }

    fn put(&mut self, head: &Head, bytes: &[u8]) -> Result<(), DiskError> {
        let folder = match self.find_folder(STORE)? {
            Some(folder) => folder,
            None => self.create_store()?,
        };
        let files = self.list_all(folder)?;
        let older = self.files_of(&files, head)?;
        if files.len() >= if older.is_empty() { MAX_VALUES } else { MAX_FILES } {
            return Err(DiskError::TooManyFiles);
        }
        let new = NewFile { folder: STORE, number: hash_of(head), ending: ENDING, bytes };
        self.replace(folder, &files, older, &new).map(|_| ())
    }

    fn take_out(&mut self, head: &Head) -> Result<bool, DiskError> {
        let Some(folder) = self.find_folder(STORE)? else { return Ok(false) };
        let files = self.list_all(folder)?;
        let found = self.files_of(&files, head)?;
        let Some((newest, older)) = found.split_last() else { return Ok(false) };
        let chains = self.chains(&found)?;
        let (older_chains, newest_chain) = chains.split_at(older.len());
        // As long as the newest file is there, no older value is taken for the key's.
        let released = self.remove(folder, older, older_chains)? + self.remove(folder, &[*newest], newest_chain)?;
        self.count_free(0, released)?;
        self.flush()?;
        Ok(true)
    }

    fn create_store(&mut self) -> Result<Folder, DiskError> {
        let is_it = |file: &File| file.short == SHORT_STORE || file.name.eq_ignore_ascii_case(STORE);
        match self.list_all(self.layout.root)?.iter().any(is_it) {
            true => Err(DiskError::NoStoreFolder),
            false => self.create_folder(&SHORT_STORE),
        }
    }

    fn newest_of(&mut self, key: &str) -> Result<Option<File>, DiskError> {
        let head = head_of(key)?;
        let Some(folder) = self.find_folder(STORE)? else { return Ok(None) };
        let files = self.list_all(folder)?;
        let newest = self.files_of(&files, &head)?.last().map(|file| *file.entries.end());
        Ok(files.into_iter().find(|file| Some(*file.entries.end()) == newest))
    }

    /// Returns the files that begin with `head`, the newest last.
    fn files_of<'files>(&mut self, files: &'files [File], head: &Head) -> Result<Vec<&'files File>, DiskError> {
        let mut found = Vec::new();
        let number = hash_of(head);
        // A file has the first of these names that was free.
        for file in files.iter().filter(|file| is_value(file) && number_of(file).wrapping_sub(number) < NAMES) {
            let mut own: Head = [0; HEAD_SIZE];
            if self.read_head(file, &mut own)? && own == *head {
                fallible::push(&mut found, file)?;
            }
        }
        found.sort_unstable_by_key(|file| (file.stamp, *file.entries.end()));
        Ok(found)
    }
}

fn is_value(file: &File) -> bool {
    !file.folder && file.short.ends_with(&ENDING)
}

/// Returns the number that a file's name shows, or 0 if it shows none.
fn number_of(file: &File) -> u32 {
    let digits = file.short.get(..8).and_then(|digits| core::str::from_utf8(digits).ok());
    digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()).unwrap_or_default()
}

/// Returns the beginning of a key's file.
pub(crate) fn head_of(key: &str) -> Result<Head, DiskError> {
    if key.is_empty() || key.len() > MAX_KEY_LENGTH || key.contains('\0') {
        return Err(DiskError::NotAKey);
    }
    let mut head = [0; HEAD_SIZE];
    put(&mut head, 0, &MARK);
    put(&mut head, MARK.len(), key.as_bytes());
    Ok(head)
}

/// Returns the key that a file begins with.
fn key_of(head: &Head) -> Option<&str> {
    let key = head.strip_prefix(&MARK)?;
    let length = key.iter().position(|&byte| byte == 0).unwrap_or(key.len());
    key.get(..length).and_then(|key| core::str::from_utf8(key).ok()).filter(|key| !key.is_empty())
}

/// Returns the number that the name of a key's file shows (FNV-1a of 32 bits).
pub(crate) fn hash_of(head: &Head) -> u32 {
    head.iter().fold(0x811c_9dc5, |hash, &byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}
