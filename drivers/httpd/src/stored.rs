//! Parts of the store that are sent: a value, or the list of keys. One of them lies in the room, for all its parts; another is read
//! anew for each part, so that no connection keeps a copy, and compared with what was begun: one that was put meanwhile ends the
//! answer.

use bareflow_abi::Out;
use bareflow_abi::checksum::crc32c;
use bareflow_store::{MAX_KEY_BYTES, MAX_VALUE_BYTES, Store, StoreError};

use crate::request::Key;
use crate::status::Status;

/// The most keys that a kernel's disk has. A longer list is refused.
const KEYS: usize = 1024;

/// The room for the list of all keys, each with a line feed, which is that for the longest value, too.
const ROOM_BYTES: usize = KEYS * (MAX_KEY_BYTES + 1);

const _: () = assert!(ROOM_BYTES >= MAX_VALUE_BYTES);

/// A value or the list, as it was when it was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The key; `None` for the list of keys.
    key: Option<Key>,
    length: usize,
    checksum: u32,
}

/// Room for one of them. Before the first it is zero, so that it takes no room in the blob.
pub struct Room {
    bytes: [u8; ROOM_BYTES],
    /// Whether there is one, and which.
    is_used: bool,
    stored: Stored,
}

impl Room {
    pub const fn new() -> Room {
        let stored = Stored { key: None, length: 0, checksum: 0 };
        Room { bytes: [0; ROOM_BYTES], is_used: false, stored }
    }

    /// Returns whether it lies here.
    pub fn has(&self, stored: &Stored) -> bool {
        self.is_used && self.stored == *stored
    }

    /// Reads one.
    fn read(&mut self, key: Option<Key>, store: &mut impl Store) -> Result<Stored, StoreError> {
        self.is_used = false;
        let bytes = read(key.as_ref(), store, &mut self.bytes)?;
        self.stored = Stored { key, length: bytes.len(), checksum: crc32c(&[bytes]) };
        self.is_used = true;
        Ok(self.stored)
    }
}

impl Stored {
    /// Reads what is to be sent, all of it, and notes what it is.
    ///
    /// # Errors
    /// The answer if it can't be had.
    pub fn begin(key: Option<Key>, store: &mut impl Store, room: &mut Room) -> Result<Stored, Status> {
        room.read(key, store).map_err(|error| match error {
            StoreError::NoSuchKey | StoreError::BadKey => Status::NotFound,
            _ => Status::Unavailable,
        })
    }

    /// Returns the key; `None` for the list of keys.
    pub fn key(&self) -> Option<&Key> {
        self.key.as_ref()
    }

    pub fn length(&self) -> usize {
        self.length
    }

    /// Returns its bytes, and reads them again if others lie in the room; `None` if it is another one by now.
    pub fn bytes<'room>(&self, store: &mut impl Store, room: &'room mut Room) -> Option<&'room [u8]> {
        if !room.has(self) && room.read(self.key, store) != Ok(*self) {
            return None;
        }
        room.bytes.get(..self.length)
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
