//! The interface `store`, in a folder: each value is a file that has its key's name.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use bareflow_abi::Out;
use bareflow_store::{MAX_VALUE_BYTES, Store, StoreError, is_key, list};

/// The file that becomes a value's when all of it is on the disk. It has no key's name.
const NEW: &str = ".new";

/// The number of values that this process has begun to write. Other processes may write to the same folder.
static BEGUN: AtomicU64 = AtomicU64::new(0);

/// A store in a folder, for [`provide`](bareflow_loader::ModuleManager::provide).
#[derive(Clone, Debug)]
pub struct FolderStore {
    folder: Option<PathBuf>,
}

impl FolderStore {
    /// Creates a store in a folder. Without one, and without the folder, each call is [`StoreError::NoDisk`].
    #[must_use]
    pub const fn new(folder: Option<PathBuf>) -> FolderStore {
        FolderStore { folder }
    }

    fn folder(&self) -> Result<&Path, StoreError> {
        self.folder.as_deref().filter(|folder| folder.is_dir()).ok_or(StoreError::NoDisk)
    }

    fn path(&self, key: &str) -> Result<PathBuf, StoreError> {
        if is_key(key) { Ok(self.folder()?.join(key)) } else { Err(StoreError::BadKey) }
    }

    /// Opens a key's file, and returns it with its length in bytes.
    fn open(&self, key: &str) -> Result<(File, u64), StoreError> {
        let path = self.path(key)?;
        // Something else, such as a pipe, might not even open.
        if !fs::metadata(&path).map_err(reason)?.is_file() {
            return Err(StoreError::NoSuchKey);
        }
        let file = File::open(path).map_err(reason)?;
        let length = file.metadata().map_err(reason)?.len();
        Ok((file, length))
    }
}

fn reason(error: std::io::Error) -> StoreError {
    match error.kind() {
        ErrorKind::NotFound => StoreError::NoSuchKey,
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => StoreError::Full,
        ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => StoreError::ReadOnly,
        _ => StoreError::Failed,
    }
}

impl Store for FolderStore {
    fn get(&mut self, key: &str, into: &mut Out<'_, u8>) -> Result<(), StoreError> {
        let (file, length) = self.open(key)?;
        if length > into.remaining() as u64 {
            return Err(StoreError::NoRoom);
        }
        let mut value = Vec::new();
        file.take(length).read_to_end(&mut value).map_err(reason)?;
        into.extend_from_slice(&value);
        Ok(())
    }

    fn length(&mut self, key: &str) -> Result<u32, StoreError> {
        u32::try_from(self.open(key)?.1).map_err(|_| StoreError::Failed)
    }

    fn put(&mut self, key: &str, value: &[u8]) -> Result<(), StoreError> {
        if value.len() > MAX_VALUE_BYTES {
            return Err(StoreError::TooLarge);
        }
        let (path, folder) = (self.path(key)?, self.folder()?);
        let new = folder.join(format!("{NEW}.{}.{}", std::process::id(), BEGUN.fetch_add(1, Ordering::Relaxed)));
        let put = || {
            let mut file = File::create(&new)?;
            file.write_all(value)?;
            file.sync_all()?;
            fs::rename(&new, path)?;
            File::open(folder)?.sync_all()
        };
        put().map_err(|error| {
            // It is of no use, and there may be no more room than it takes.
            let _ = fs::remove_file(&new);
            reason(error)
        })
    }

    fn remove(&mut self, key: &str) -> Result<(), StoreError> {
        let (path, folder) = (self.path(key)?, self.folder()?);
        let removed = fs::remove_file(path).and_then(|()| File::open(folder)?.sync_all());
        removed.map_err(reason)
    }

    fn keys(&mut self, prefix: &str, into: &mut Out<'_, u8>) -> Result<u32, StoreError> {
        let entries = fs::read_dir(self.folder()?).and_then(Iterator::collect::<Result<Vec<_>, _>>).map_err(reason)?;
        let files = entries.iter().filter(|entry| entry.path().is_file());
        let mut keys: Vec<_> = files.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        keys.retain(|key| is_key(key));
        keys.sort_unstable();
        Ok(list(keys.iter().map(String::as_str), prefix, into))
    }
}
