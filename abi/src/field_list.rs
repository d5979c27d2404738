//! Lists of the fields of types, and the hash that fingerprints are made of.

/// A field: its type's name, its own name, its offset and its size in bytes.
pub type Field = (&'static str, &'static str, usize, usize);

/// Hashes bytes by FNV-1a, continuing from `state`.
pub(crate) const fn hash_bytes(bytes: &[u8], mut state: u64) -> u64 {
    let mut index = 0;
    while index < bytes.len() {
        state = (state ^ bytes[index] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        index += 1;
    }
    state
}

/// Declares a list of [`Field`]s for a type, and fails to compile if a field is missing from it.
macro_rules! layout_of {
    ($($name:literal $type:ty as $list:ident { $($field:ident,)+ })+) => {$(
        #[doc = concat!("The fields of `", $name, "`, in order.")]
        pub(crate) const $list: &[crate::field_list::Field] = {
            const fn size_of_field<T, F>(_: fn(&T) -> &F) -> usize {
                size_of::<F>()
            }
            &[$((
                $name,
                stringify!($field),
                core::mem::offset_of!($type, $field),
                size_of_field::<$type, _>(|value| &value.$field),
            )),+]
        };
        // The last field ends at the type's end, so none is left out there.
        static_assertions::const_assert_eq!(size_of::<$type>(), {
            let (_, _, offset, size) = $list[$list.len() - 1];
            offset + size
        });
    )+};
}
pub(crate) use layout_of;
