//! A write-through cache: provides the interface `store` on that of the kernel, and keeps the short values that were used
//! last. Users that bind to it, `bind.values = "store"`, must all do so: it does not see what others write.

#![no_std]
#![forbid(unsafe_code)]

use bareflow_abi::{Context, Out};
use bareflow_store::{MAX_KEY_BYTES, Store, StoreError, is_key};

/// The number of values that are kept.
const SLOTS: usize = 8;

/// The longest value that is kept, in bytes.
const ROOM: usize = 128;

/// The key of the count.
const COUNT: &str = "store.count";

bareflow_abi::state! {
    /// The values that were used last.
    pub struct Cache {
        /// The keys, padded with zeros; all zeros where there is none.
        pub keys: [[u8; MAX_KEY_BYTES]; SLOTS] = [[0; MAX_KEY_BYTES]; SLOTS],
        /// The lengths of the values, in bytes.
        pub lengths: [u32; SLOTS] = [0; SLOTS],
        /// The values.
        pub values: [[u8; ROOM]; SLOTS] = [[0; ROOM]; SLOTS],
        /// The slot that is overwritten next.
        pub next: u32 = 0,
        /// The number of reads that took nothing from the disk.
        pub hits: u32 = 0,
    }
}

bareflow_abi::module!(
    state = Cache,
    imports = { disk: Store },
    exports = [Store, count, hits],
    provider = Cached
);

/// Returns how often this was called, over all runs; -1 if that can't be stored.
pub fn count(_: &mut Context<'_>, cache: &mut Cache, mut with: Imports<'_>) -> i32 {
    cache.forget(COUNT);
    let mut count = [0; 4];
    match with.disk.get(COUNT, &mut Out::new(&mut count)) {
        Ok(()) | Err(StoreError::NoSuchKey) => {}
        Err(_) => return -1,
    }
    let count = i32::from_le_bytes(count).wrapping_add(1);
    with.disk.put(COUNT, &count.to_le_bytes()).map_or(-1, |()| count)
}

/// Returns how many reads took nothing from the disk.
pub fn hits(_: &mut Context<'_>, cache: &mut Cache) -> i32 {
    cache.hits as i32
}

impl Store for Cached<'_> {
    fn get(&mut self, key: &str, into: &mut Out<'_, u8>) -> Result<(), StoreError> {
        if let Some(value) = self.state.find(key) {
            return append(value, into);
        }
        let mut room = [0; ROOM];
        let mut value = Out::new(&mut room);
        match self.imports.disk.get(key, &mut value) {
            Ok(()) => {
                self.state.keep(key, value.written());
                append(value.written(), into)
            }
            // Too long to be kept.
            Err(StoreError::NoRoom) => self.imports.disk.get(key, into),
            Err(error) => Err(error),
        }
    }

    fn length(&mut self, key: &str) -> Result<u32, StoreError> {
        match self.state.find(key) {
            Some(value) => Ok(value.len() as u32),
            None => self.imports.disk.length(key),
        }
    }

    fn put(&mut self, key: &str, value: &[u8]) -> Result<(), StoreError> {
        // If this fails, nobody knows which value is there.
        self.state.forget(key);
        self.imports.disk.put(key, value)?;
        self.state.keep(key, value);
        Ok(())
    }

    fn remove(&mut self, key: &str) -> Result<(), StoreError> {
        self.state.forget(key);
        self.imports.disk.remove(key)
    }

    fn keys(&mut self, prefix: &str, into: &mut Out<'_, u8>) -> Result<u32, StoreError> {
        self.imports.disk.keys(prefix, into)
    }
}

fn append(value: &[u8], into: &mut Out<'_, u8>) -> Result<(), StoreError> {
    if value.len() > into.remaining() {
        return Err(StoreError::NoRoom);
    }
    into.extend_from_slice(value);
    Ok(())
}

impl Cache {
    fn slot_of(&self, key: &str) -> Option<usize> {
        let padded = padded(key)?;
        self.keys.iter().position(|kept| *kept == padded)
    }

    fn find(&mut self, key: &str) -> Option<&[u8]> {
        let slot = self.slot_of(key)?;
        self.hits = self.hits.wrapping_add(1);
        self.values.get(slot)?.get(..*self.lengths.get(slot)? as usize)
    }

    fn keep(&mut self, key: &str, value: &[u8]) {
        let slot = self.next as usize % SLOTS;
        if let (Some(key), Some(room)) = (padded(key), self.values[slot].get_mut(..value.len())) {
            room.copy_from_slice(value);
            (self.keys[slot], self.lengths[slot]) = (key, value.len() as u32);
            self.next = self.next.wrapping_add(1);
        }
    }

    fn forget(&mut self, key: &str) {
        if let Some(slot) = self.slot_of(key) {
            self.keys[slot] = [0; MAX_KEY_BYTES];
        }
    }
}

/// Returns a key as it is kept; `None` if the text is none, which could equal another one's padding.
fn padded(key: &str) -> Option<[u8; MAX_KEY_BYTES]> {
    let mut padded = [0; MAX_KEY_BYTES];
    padded.get_mut(..key.len()).filter(|_| is_key(key))?.copy_from_slice(key.as_bytes());
    Some(padded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_last_short_values() {
        let mut cache = <Cache as bareflow_abi::state::State>::INITIAL;
        for number in 0..9_u8 {
            cache.keep(core::str::from_utf8(&[b'a' + number]).unwrap(), &[number]);
        }
        assert_eq!(cache.find("a"), None);
        assert_eq!(cache.find("i"), Some(&[8][..]));
        assert_eq!(cache.hits, 1);
        cache.keep("long", &[0; ROOM + 1]);
        cache.forget("i");
        cache.keep("b", &[1]);
        for key in ["long", "i", "", "\0", "b\0"] {
            assert_eq!(cache.find(key), None, "{key}");
        }
    }
}
