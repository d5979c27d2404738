//! Structures of fields in a file, little-endian and without gaps.
//!
//! [`fields!`] is the only code that knows the byte order.

macro_rules! fields {
    ($(#[$about:meta])+ $name:ident, $length:expr; $($(#[$doc:meta])+ $field:ident: $type:ty,)+) => {
        $(#[$about])+
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name {
            $($(#[$doc])+ pub $field: $type,)+
        }

        impl $name {
            /// The name, offset and size in bytes of every field, as `docs/format.md` lists them.
            pub const FIELDS: &[(&'static str, usize, usize)] =
                &[$((stringify!($field), core::mem::offset_of!($name, $field), size_of::<$type>())),+];

            /// Encodes the fields in the form that they have in the file.
            #[must_use]
            pub fn to_bytes(&self) -> [u8; $length] {
                // Without `..`, so that a new field can't be forgotten here.
                let $name { $($field),+ } = self;
                let mut bytes = [0; $length];
                $(crate::fields::LittleEndian::write(
                    $field,
                    &mut bytes[core::mem::offset_of!($name, $field)..][..size_of::<$type>()],
                );)+
                bytes
            }

            /// Decodes the fields without validating them.
            // Inlined, it reads only the fields that are used.
            #[must_use]
            #[inline(always)]
            pub fn from_bytes(bytes: &[u8; $length]) -> $name {
                $name {
                    $($field: crate::fields::LittleEndian::read(
                        &bytes[core::mem::offset_of!($name, $field)..][..size_of::<$type>()],
                    ),)+
                }
            }
        }

        // The file has no padding.
        static_assertions::const_assert_eq!(size_of::<$name>(), $length);
    };
}
pub(crate) use fields;

/// The little-endian form of a field. `bytes` is exactly as long as the field.
pub(crate) trait LittleEndian {
    fn write(&self, bytes: &mut [u8]);
    fn read(bytes: &[u8]) -> Self;
}

macro_rules! integer_field {
    ($($type:ty)+) => {$(
        impl LittleEndian for $type {
            fn write(&self, bytes: &mut [u8]) {
                bytes.copy_from_slice(&self.to_le_bytes());
            }
            #[inline(always)]
            fn read(bytes: &[u8]) -> $type {
                bytes.first_chunk().map_or(0, |bytes| <$type>::from_le_bytes(*bytes))
            }
        }
    )+};
}

integer_field!(u8 u16 u32 u64);

impl<const N: usize> LittleEndian for [u8; N] {
    fn write(&self, bytes: &mut [u8]) {
        bytes.copy_from_slice(self);
    }
    #[inline(always)]
    fn read(bytes: &[u8]) -> [u8; N] {
        bytes.first_chunk().copied().unwrap_or([0; N])
    }
}
