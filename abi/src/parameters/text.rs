//! A short text as a parameter.

use core::fmt;
use core::ops::Deref;

use crate::fnv::{START, hash_bytes};
use crate::state::PlainData;

/// The length of the longest text, in bytes: its length fits a byte.
const MAX_LENGTH: usize = 255;

/// A text of at most `N` bytes, which is plain data.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Text<const N: usize> {
    length: u8,
    /// UTF-8 up to the length, then zeros.
    bytes: [u8; N],
}

impl<const N: usize> Text<N> {
    /// Creates a text.
    ///
    /// # Panics
    /// If `text` has more than `N` bytes, or `N` is above 255; in a constant, this is an error of the compilation.
    #[must_use]
    pub const fn new(text: &str) -> Text<N> {
        assert!(N <= MAX_LENGTH, "a `Text` has at most 255 bytes");
        assert!(text.len() <= N, "the text is longer than its type allows");
        let (mut bytes, mut index) = ([0; N], 0);
        while index < text.len() {
            bytes[index] = text.as_bytes()[index];
            index += 1;
        }
        // At most 255, as was just checked.
        Text { length: text.len() as u8, bytes }
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let text = self.bytes.get(..usize::from(self.length)).unwrap_or_default();
        // SAFETY: `new` copied a string of that length, and `restore` checked that the bytes are one.
        unsafe { core::str::from_utf8_unchecked(text) }
    }
}

impl<const N: usize> Deref for Text<N> {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl<const N: usize> fmt::Display for Text<N> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), out)
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), out)
    }
}

impl<const N: usize> PlainData for Text<N> {
    const SIZE: usize = 1 + N;
    const FINGERPRINT: u64 = hash_bytes(&(N as u64).to_le_bytes(), hash_bytes(b"Text", START));
    const ZERO: Text<N> = Text { length: 0, bytes: [0; N] };

    fn save(&self, put: &mut dyn FnMut(&[u8])) {
        put(&[self.length]);
        put(&self.bytes);
    }

    fn restore(input: &mut &[u8]) -> Option<Text<N>> {
        let (length, bytes) = (u8::restore(input)?, <[u8; N]>::restore(input)?);
        core::str::from_utf8(bytes.get(..usize::from(length))?).ok()?;
        Some(Text { length, bytes })
    }
}
