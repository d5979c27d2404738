//! The layouts of the fields of types.

/// A field: its type's name, its own name, its offset and its size in bytes.
pub type FieldLayout = (&'static str, &'static str, usize, usize);

/// Declares a list of [`FieldLayout`]s for a type, and fails to compile if a field is missing from it.
macro_rules! layout_of {
    ($($name:literal $type:ty as $list:ident { $($field:ident,)+ })+) => {$(
        #[doc = concat!("The fields of `", $name, "`, in order.")]
        pub(crate) const $list: &[crate::field_layout::FieldLayout] = {
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
