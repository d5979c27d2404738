//! Keys: names in the form in which the registry hashes and compares them, as four words.

use super::{MAX_NAME_LENGTH, Name};

/// The bytes of a name, padded with zeros. Not every key is that of a valid name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key([u64; 4]);

// Without vector registers, a derived comparison calls a function that compares byte by byte.
impl PartialEq for Key {
    #[inline(always)]
    fn eq(&self, other: &Key) -> bool {
        let ([a, b, c, d], [p, q, r, s]) = (self.0, other.0);
        (a ^ p) | (b ^ q) | (c ^ r) | (d ^ s) == 0
    }
}

impl Eq for Key {}

/// Odd multipliers without a pattern: digits of pi.
const HASH_MULTIPLIERS: [u64; 4] =
    [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7345, 0xa409_3822_299f_31d1, 0x082e_fa98_ec4e_6c89];

impl Key {
    /// A key that no name has.
    pub const BLANK: Key = Key([0; 4]);

    /// Returns the key of a text that may be a name; `None` if it is too long for one.
    ///
    /// Trailing zeros in the text do not change its key; names have none.
    #[inline]
    pub fn of(text: &str) -> Option<Key> {
        let bytes = text.as_bytes();
        if bytes.len() > MAX_NAME_LENGTH {
            return None;
        }
        Some(Key([word(bytes, 0), word(bytes, 8), word(bytes, 16), word(bytes, 24)]))
    }
}

/// Returns the word of a key that begins at `start`. Loops over all words would be calls of `memcpy`.
#[inline(always)]
fn word(bytes: &[u8], start: usize) -> u64 {
    let Some(rest) = bytes.get(start..) else { return 0 };
    rest.first_chunk().map_or_else(|| last_word(bytes, rest), |word| u64::from_le_bytes(*word))
}

/// Returns the last word of a key, from the `rest` of less than eight bytes at the end of `bytes`.
///
/// Assembles it from whole words, which is faster than byte by byte.
#[inline(always)]
fn last_word(bytes: &[u8], rest: &[u8]) -> u64 {
    let missing = 8 * (8 - rest.len() as u32);
    if let (Some(last), 1..) = (bytes.last_chunk::<8>(), rest.len()) {
        return u64::from_le_bytes(*last) >> missing;
    }
    if let (Some(first), Some(last)) = (rest.first_chunk::<4>(), rest.last_chunk::<4>()) {
        let last = u64::from(u32::from_le_bytes(*last)) << 32 >> missing;
        return u64::from(u32::from_le_bytes(*first)) | last;
    }
    rest.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte))
}

impl From<&Name> for Key {
    #[inline]
    fn from(name: &Name) -> Key {
        let (words, _) = name.0.as_chunks::<8>();
        let mut key = [0; 4];
        for (target, word) in key.iter_mut().zip(words) {
            *target = u64::from_le_bytes(*word);
        }
        Key(key)
    }
}

impl Key {
    /// Returns a hash of the key; its lower bits depend on all bytes.
    #[inline(always)]
    pub const fn hash(&self) -> u32 {
        let [a, b, c, d] = self.0;
        let [p, q, r, s] = HASH_MULTIPLIERS;
        // The products are independent of each other. The shift mixes the upper half into the lower one, where bits are
        // missing.
        let sum = a.wrapping_mul(p) ^ b.wrapping_mul(q) ^ c.wrapping_mul(r) ^ d.wrapping_mul(s);
        ((sum ^ (sum >> 32)).wrapping_mul(p) >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::format;
    use std::string::String;

    #[test]
    fn is_the_same_from_text_and_name() {
        for length in 1..=MAX_NAME_LENGTH {
            let text: String = ('a'..='z').chain('0'..='9').cycle().skip(length).take(length).collect();
            assert_eq!(Key::of(&text), Name::new(&text).as_ref().map(Key::from), "{text}");
        }
        assert_eq!(Key::of(""), Some(Key([0; 4])));
        assert_eq!(Key::of(&"a".repeat(32)), None);
    }

    #[test]
    fn hashes_numbered_names_apart() {
        let hash = |number| Key::of(&format!("module-{number}")).map(|key| key.hash());
        assert_eq!((0..10_000).map(hash).collect::<BTreeSet<_>>().len(), 10_000);
        // With twice as many names as numbers, more than four out of five numbers are used.
        let lower = (0..1 << 17).filter_map(hash).map(|hash| hash & 0xffff);
        assert!(lower.collect::<BTreeSet<_>>().len() > (1 << 16) * 4 / 5);
    }
}
