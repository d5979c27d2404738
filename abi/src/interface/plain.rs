//! Values that cross as their bytes.

use super::types::TypeInfo;

/// A type whose values cross in slices and by reference: numbers, arrays of them, and structures that derive it.
///
/// # Safety
/// Every pattern of bits is a value, there is no padding, and the size is not 0.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't cross as bytes",
    label = "not every pattern of bits is a `{Self}`, or it has padding",
    note = "numbers but `usize`, arrays of them and structures that derive `bareflow_abi::Plain` cross in slices and by \
            reference",
    note = "`bool`, `char` and enums cross by value only; use `u8` or `u32` in slices and structures"
)]
pub unsafe trait Plain: Copy {
    /// The description of the type.
    const TYPE: &'static TypeInfo;
}

macro_rules! numbers {
    ($($type:ty)+) => {$(
        // SAFETY: a number has neither other values nor padding.
        unsafe impl Plain for $type {
            const TYPE: &'static TypeInfo = &TypeInfo::Primitive(stringify!($type));
        }
    )+};
}

numbers!(u8 u16 u32 u64 i8 i16 i32 i64 f32 f64);

// SAFETY: elements lie one behind the other without padding; the description is used, and refuses an empty array.
unsafe impl<T: Plain, const N: usize> Plain for [T; N] {
    const TYPE: &'static TypeInfo = {
        assert!(N > 0, "an array that crosses has elements");
        &TypeInfo::Array(T::TYPE, N)
    };
}
