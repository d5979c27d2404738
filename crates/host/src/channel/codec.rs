//! Encoding of messages as words, in memory that the other side may be changing.

use std::slice::Iter;
use std::sync::atomic::{AtomicU64, Ordering};

/// A cursor over the words of a message. Each word is read only once.
pub(crate) struct Codec<'channel>(Iter<'channel, AtomicU64>);

impl<'channel> Codec<'channel> {
    /// Starts at the first word.
    pub fn of(words: &'channel [AtomicU64]) -> Codec<'channel> {
        Codec(words.iter())
    }

    /// Writes a word. A test ensures that no message is too long.
    pub fn put(&mut self, value: u64) {
        if let Some(word) = self.0.next() {
            word.store(value, Ordering::Relaxed);
        }
    }

    pub fn put_all<const N: usize>(&mut self, values: [u64; N]) {
        values.into_iter().for_each(|value| self.put(value));
    }

    pub fn put_option(&mut self, value: Option<u64>) {
        self.put_all([value.is_some().into(), value.unwrap_or(0)]);
    }

    /// Writes bytes; the reader knows how many.
    pub fn put_bytes(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word.iter_mut().zip(chunk).for_each(|(target, byte)| *target = *byte);
            self.put(u64::from_le_bytes(word));
        }
    }

    /// Reads a word.
    pub fn get(&mut self) -> Option<u64> {
        Some(self.0.next()?.load(Ordering::Relaxed))
    }

    pub fn get_all<const N: usize>(&mut self) -> Option<[u64; N]> {
        let mut values = [0; N];
        for value in &mut values {
            *value = self.get()?;
        }
        Some(values)
    }

    pub fn get_option(&mut self) -> Option<Option<u64>> {
        match self.get_all()? {
            [0, _] => Some(None),
            [1, value] => Some(Some(value)),
            _ => None,
        }
    }

    pub fn get_bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        for chunk in bytes.chunks_mut(8) {
            chunk.iter_mut().zip(self.get()?.to_le_bytes()).for_each(|(target, byte)| *target = byte);
        }
        Some(bytes)
    }
}
