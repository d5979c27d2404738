//! The interface `store`, on the disk.

use bareflow_abi::Out;
use bareflow_abi::interface::CallError;
use bareflow_disk::{DeviceError, DiskError, MAX_KEY_LENGTH};
use bareflow_store::{MAX_KEY_BYTES, MAX_VALUE_BYTES, Store, StoreError, is_key, list};

use crate::disk::{KernelDisk, with_disk};

const _: () = assert!(MAX_KEY_BYTES == MAX_KEY_LENGTH);

/// The store in the disk's folder `/store`. The disk is looked for when it is first used.
pub struct DiskStore;

/// Does `work` with the disk, if `key` is one.
fn with<T>(key: &str, work: impl FnOnce(&mut KernelDisk) -> Result<T, DiskError>) -> Result<T, StoreError> {
    if !is_key(key) {
        return Err(StoreError::BadKey);
    }
    with_any(work)
}

fn with_any<T>(work: impl FnOnce(&mut KernelDisk) -> Result<T, DiskError>) -> Result<T, StoreError> {
    with_disk(|disk| work(disk.map_err(|_| StoreError::NoDisk)?).map_err(reason))
}

fn reason(error: DiskError) -> StoreError {
    match error {
        DiskError::Device { error: DeviceError::READ_ONLY, .. } => StoreError::ReadOnly,
        DiskError::NoSpace { .. }
        | DiskError::TooManyFiles
        | DiskError::FolderFull
        | DiskError::NoName
        | DiskError::NoLaterStamp { .. } => StoreError::Full,
        DiskError::OutOfMemory { .. } => StoreError::Call(CallError::NoMemory),
        DiskError::TooLarge { .. } => StoreError::NoRoom,
        _ => StoreError::Failed,
    }
}

impl Store for DiskStore {
    fn get(&mut self, key: &str, into: &mut Out<'_, u8>) -> Result<(), StoreError> {
        let value = with(key, |disk| disk.value(key, into.remaining()))?.ok_or(StoreError::NoSuchKey)?;
        into.extend_from_slice(&value);
        Ok(())
    }

    fn length(&mut self, key: &str) -> Result<u32, StoreError> {
        let length = with(key, |disk| disk.value_length(key))?.ok_or(StoreError::NoSuchKey)?;
        u32::try_from(length).map_err(|_| StoreError::Failed)
    }

    fn put(&mut self, key: &str, value: &[u8]) -> Result<(), StoreError> {
        if value.len() > MAX_VALUE_BYTES {
            return Err(StoreError::TooLarge);
        }
        with(key, |disk| disk.put_value(key, value))
    }

    fn remove(&mut self, key: &str) -> Result<(), StoreError> {
        if with(key, |disk| disk.remove_value(key))? { Ok(()) } else { Err(StoreError::NoSuchKey) }
    }

    fn keys(&mut self, prefix: &str, into: &mut Out<'_, u8>) -> Result<u32, StoreError> {
        let keys = with_any(KernelDisk::keys)?;
        // A disk may have been written elsewhere.
        Ok(list(keys.iter().map(|key| &**key).filter(|key| is_key(key)), prefix, into))
    }
}
