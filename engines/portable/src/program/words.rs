//! Words: numbers of 4 bytes each, little-endian, and structures of them.

/// Declares a structure of words.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[repr(C)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: u32,)+
        }

        impl $name {
            /// The size, in bytes.
            pub const SIZE: usize = size_of::<$name>();

            /// Returns the bytes.
            #[must_use]
            pub fn to_bytes(self) -> Vec<u8> {
                [$(self.$field),+].into_iter().flat_map(u32::to_le_bytes).collect()
            }

            /// Reads the bytes; `None` if there are fewer or more.
            #[must_use]
            pub fn from_bytes(bytes: &[u8]) -> Option<$name> {
                let mut words = Words::new(bytes)?.iter();
                let read = $name { $($field: words.next()?,)+ };
                words.next().is_none().then_some(read)
            }
        }
    };
}
pub(super) use words;

/// Numbers of 4 bytes each, little-endian.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Words<'bytes>(&'bytes [[u8; 4]]);

impl<'bytes> Words<'bytes> {
    /// Takes bytes as words; `None` if the last is not whole.
    #[must_use]
    pub fn new(bytes: &'bytes [u8]) -> Option<Words<'bytes>> {
        let (words, rest) = bytes.as_chunks();
        rest.is_empty().then_some(Words(words))
    }

    /// Returns the bytes.
    #[must_use]
    pub const fn as_bytes(self) -> &'bytes [u8] {
        self.0.as_flattened()
    }

    /// Returns the number of words.
    #[must_use]
    pub const fn count(self) -> usize {
        self.0.len()
    }

    /// Returns the word with this number.
    #[must_use]
    pub fn get(self, number: usize) -> Option<u32> {
        self.0.get(number).copied().map(u32::from_le_bytes)
    }

    /// Returns the number of `word` among words in ascending order.
    #[must_use]
    pub fn position(self, word: u32) -> Option<usize> {
        self.0.binary_search_by_key(&word, |bytes| u32::from_le_bytes(*bytes)).ok()
    }

    /// Iterates over the words.
    pub fn iter(self) -> impl Iterator<Item = u32> + use<'bytes> {
        self.0.iter().copied().map(u32::from_le_bytes)
    }
}
