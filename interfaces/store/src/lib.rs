//! The interface `store`: values by their keys, which outlast a run.
//!
//! BareFlow's kernel provides it on its disk, in the folder `/store`; a process provides it in a folder that the command
//! names. All modules share the keys: one that keeps its own apart puts its name before them, as in `total.sum`.

#![no_std]
#![forbid(unsafe_code)]

use bareflow_abi::{CallError, Failure, Out, interface};

/// The longest key, in bytes.
pub const MAX_KEY_BYTES: usize = 64;

/// The longest value, in bytes.
pub const MAX_VALUE_BYTES: usize = 64 << 10;

/// Values by their keys. Even reading takes `&mut self`, so that a provider may keep what it read.
#[interface(version = "1.0")]
pub trait Store {
    /// Appends the value of `key` to `into`; [`NoRoom`](StoreError::NoRoom) if there is too little room.
    fn get(&mut self, key: &str, into: &mut Out<'_, u8>) -> Result<(), StoreError>;

    /// Returns the length of the value of `key`, in bytes.
    fn length(&mut self, key: &str) -> Result<u32, StoreError>;

    /// Sets the value of `key`. It is permanent when this returns; if power is lost before, either the old value or the
    /// new one is there.
    fn put(&mut self, key: &str, value: &[u8]) -> Result<(), StoreError>;

    /// Removes `key` with its value, as safely as [`put`](Store::put).
    fn remove(&mut self, key: &str) -> Result<(), StoreError>;

    /// Appends the keys that begin with `prefix` in ascending order, each with a line feed behind it, as many as there is
    /// room for. Returns how many there are in all.
    fn keys(&mut self, prefix: &str, into: &mut Out<'_, u8>) -> Result<u32, StoreError>;
}

/// An error of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Failure)]
pub enum StoreError {
    /// There is no such key.
    NoSuchKey,
    /// The text is no key; see [`is_key`].
    BadKey,
    /// The value is longer than [`MAX_VALUE_BYTES`].
    TooLarge,
    /// The value is longer than the room for it.
    NoRoom,
    /// The disk is full, or has as many keys as it takes.
    Full,
    /// There is no disk, or it has no file system.
    NoDisk,
    /// The disk takes no writes.
    ReadOnly,
    /// The disk failed, or its file system is damaged.
    Failed,
    /// The call gave no answer.
    #[call_error]
    Call(CallError),
}

/// Returns whether a text is a key: up to [`MAX_KEY_BYTES`] of `a` to `z`, `0` to `9`, `_`, `-` and `.`, not beginning with
/// `.`. Such a text is also a file's name on Unix.
#[must_use]
pub fn is_key(text: &str) -> bool {
    let is_allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'.');
    (1..=MAX_KEY_BYTES).contains(&text.len()) && text.bytes().all(is_allowed) && !text.starts_with('.')
}

/// Lists keys, which ascend, as [`Store::keys`] does.
pub fn list<'key>(keys: impl IntoIterator<Item = &'key str>, prefix: &str, into: &mut Out<'_, u8>) -> u32 {
    let (mut count, mut is_full) = (0, false);
    for key in keys.into_iter().filter(|key| key.starts_with(prefix)) {
        count += 1;
        is_full |= into.remaining() <= key.len();
        if !is_full {
            into.extend_from_slice(key.as_bytes());
            into.push(b'\n');
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_keys() {
        let long = [b'k'; MAX_KEY_BYTES + 1];
        let long = core::str::from_utf8(&long).unwrap();
        for key in ["a", "0.9_z-", "a..b", "-", &long[1..]] {
            assert!(is_key(key), "{key}");
        }
        for text in ["", ".", "..", ".a", "A", "a/b", "a\\b", "a b", "a\0", "\u{fc}", "a\n", long] {
            assert!(!is_key(text), "{text}");
        }
    }

    #[test]
    fn lists_as_many_whole_keys_as_fit() {
        let keys = ["a", "total.a", "total.long", "total.z", "z"];
        let mut room = [0; 21];
        let mut into = Out::new(&mut room);
        assert_eq!(list(keys, "total.", &mut into), 3);
        assert_eq!(into.written(), b"total.a\ntotal.long\n");
        assert_eq!(list(keys, "none", &mut Out::new(&mut [])), 0);
        assert_eq!(list(keys, "", &mut Out::new(&mut [])), 5);
    }
}
