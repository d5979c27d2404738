//! Plain data: the types that a state may be made of.

use crate::fnv::{START, hash_bytes};

/// Plain data: its bytes are little-endian, one part after the other, without padding.
pub trait PlainData: Copy {
    /// The size of the data, in bytes.
    const SIZE: usize;
    /// The fingerprint of the type.
    const FINGERPRINT: u64;
    /// The value whose bytes are all zero.
    const ZERO: Self;

    /// Passes the bytes to `put`, piece by piece.
    fn save(&self, put: &mut dyn FnMut(&[u8]));

    /// Reads a value from the start of `bytes`; `None` if there are too few or they are invalid.
    fn restore(bytes: &mut &[u8]) -> Option<Self>;
}

macro_rules! numbers {
    ($($type:ty)+) => {$(
        impl PlainData for $type {
            const SIZE: usize = size_of::<$type>();
            const FINGERPRINT: u64 = hash_bytes(stringify!($type).as_bytes(), START);
            const ZERO: $type = 0 as $type;

            fn save(&self, put: &mut dyn FnMut(&[u8])) {
                put(&self.to_le_bytes());
            }

            fn restore(bytes: &mut &[u8]) -> Option<$type> {
                let (own, rest) = bytes.split_first_chunk()?;
                *bytes = rest;
                Some(<$type>::from_le_bytes(*own))
            }
        }
    )+};
}

numbers!(u8 u16 u32 u64 u128 i8 i16 i32 i64 i128 f32 f64);

impl PlainData for bool {
    const SIZE: usize = 1;
    const FINGERPRINT: u64 = hash_bytes(b"bool", START);
    const ZERO: bool = false;

    fn save(&self, put: &mut dyn FnMut(&[u8])) {
        put(&[u8::from(*self)]);
    }

    fn restore(bytes: &mut &[u8]) -> Option<bool> {
        match u8::restore(bytes)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl PlainData for char {
    const SIZE: usize = 4;
    const FINGERPRINT: u64 = hash_bytes(b"char", START);
    const ZERO: char = '\0';

    fn save(&self, put: &mut dyn FnMut(&[u8])) {
        u32::from(*self).save(put);
    }

    fn restore(bytes: &mut &[u8]) -> Option<char> {
        char::from_u32(u32::restore(bytes)?)
    }
}

impl<T: PlainData, const N: usize> PlainData for [T; N] {
    const SIZE: usize = T::SIZE * N;
    const FINGERPRINT: u64 = hash_bytes(&(N as u64).to_le_bytes(), hash_bytes(b"[]", T::FINGERPRINT));
    const ZERO: [T; N] = [T::ZERO; N];

    fn save(&self, put: &mut dyn FnMut(&[u8])) {
        self.iter().for_each(|part| part.save(put));
    }

    fn restore(bytes: &mut &[u8]) -> Option<[T; N]> {
        let mut parts = [T::ZERO; N];
        for part in &mut parts {
            *part = T::restore(bytes)?;
        }
        Some(parts)
    }
}
