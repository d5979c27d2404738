//! Parts of the store that are sent: a value, or the list of keys. Either is read anew for each part that is sent, so that no
//! connection keeps a copy, and compared with what was begun: one that was put meanwhile ends the answer.

use bareflow_abi::Out;
use bareflow_abi::checksum::crc32c;
use bareflow_store::{MAX_KEY_BYTES, MAX_VALUE_BYTES, Store, StoreError};

use crate::request::Key;
use crate::status::Status;

/// The most keys that a kernel's disk has. A longer list is refused.
const KEYS: usize = 1024;

/// The room for the list of all keys, each with a line feed, which is that for the longest value, too.
pub const ROOM_BYTES: usize = KEYS * (MAX_KEY_BYTES + 1);

const _: () = assert!(ROOM_BYTES >= MAX_VALUE_BYTES);

/// A value or the list, as it was when it was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The key; `None` for the list of keys.
    key: Option<Key>,
    length: usize,
    checksum: u32,
}

impl Stored {
    /// Reads what is to be sent, all of it, and notes what it is.
    ///
    /// # Errors
    /// The answer if it can't be had.
    pub fn begin(key: Option<Key>, store: &mut impl Store, room: &mut [u8]) -> Result<Stored, Status> {
        let bytes = read(key.as_ref(), store, room).map_err(|error| match error {
            StoreError::NoSuchKey | StoreError::BadKey => Status::NotFound,
            _ => Status::Unavailable,
        })?;
        Ok(Stored { key, length: bytes.len(), checksum: crc32c(&[bytes]) })
    }

    /// Returns the key; `None` for the list of keys.
    pub fn key(&self) -> Option<&Key> {
        self.key.as_ref()
    }

    pub fn length(&self) -> usize {
        self.length
    }

    /// Reads it again; `None` if it is another one by now.
    pub fn read_again<'room>(&self, store: &mut impl Store, room: &'room mut [u8]) -> Option<&'room [u8]> {
        let bytes = read(self.key.as_ref(), store, room).ok()?;
        (bytes.len() == self.length && crc32c(&[bytes]) == self.checksum).then_some(bytes)
    }
}

fn read<'room>(key: Option<&Key>, store: &mut impl Store, room: &'room mut [u8]) -> Result<&'room [u8], StoreError> {
    let mut into = Out::new(&mut *room);
    let count = match key {
        Some(key) => store.get(key.as_str(), &mut into).map(|()| None)?,
        None => Some(store.keys("", &mut into)?),
    };
    let bytes = into.written();
    // A list that had no room is not passed off as all of it.
    if count.is_some_and(|count| bytes.iter().filter(|&&byte| byte == b'\n').count() != count as usize) {
        return Err(StoreError::NoRoom);
    }
    let length = bytes.len();
    room.get(..length).ok_or(StoreError::Failed)
}
