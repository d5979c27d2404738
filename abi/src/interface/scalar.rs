//! Values that cross as one word, and are checked when they arrive.

use super::types::TypeInfo;

/// A value that crosses as one word: `u8` to `u64`, `i8` to `i64`, `f32`, `f64`, `bool`, `char`, and enums that derive it.
///
/// `()` is one, too, as the value of a method that returns none.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't cross by value",
    label = "not a scalar",
    note = "integers but `usize`, floats, `bool`, `char` and enums that derive `bareflow_abi::Scalar` cross by value",
    note = "a structure crosses as `&T` or `&mut T`, and derives `bareflow_abi::Plain`"
)]
pub trait Scalar: Copy {
    /// The description of the type.
    const TYPE: &'static TypeInfo;

    /// Returns the word.
    fn to_word(self) -> u64;

    /// Returns the value of a word; `None` if it is none of this type.
    fn from_word(word: u64) -> Option<Self>;
}

macro_rules! scalars {
    ($($type:ty: $to_word:expr, $from_word:expr;)+) => {$(
        impl Scalar for $type {
            const TYPE: &'static TypeInfo = &TypeInfo::Primitive(stringify!($type));

            #[inline]
            fn to_word(self) -> u64 {
                let to_word: fn($type) -> u64 = $to_word;
                to_word(self)
            }

            #[inline]
            fn from_word(word: u64) -> Option<$type> {
                let from_word: fn(u64) -> Option<$type> = $from_word;
                from_word(word)
            }
        }
    )+};
}

// Signed numbers are extended to 64 bits.
scalars! {
    u8: u64::from, |word| word.try_into().ok();
    u16: u64::from, |word| word.try_into().ok();
    u32: u64::from, |word| word.try_into().ok();
    u64: |value| value, Some;
    i8: |value| i64::from(value).cast_unsigned(), |word| word.cast_signed().try_into().ok();
    i16: |value| i64::from(value).cast_unsigned(), |word| word.cast_signed().try_into().ok();
    i32: |value| i64::from(value).cast_unsigned(), |word| word.cast_signed().try_into().ok();
    i64: i64::cast_unsigned, |word| Some(word.cast_signed());
    f32: |value| value.to_bits().into(), |word| word.try_into().ok().map(f32::from_bits);
    f64: f64::to_bits, |word| Some(f64::from_bits(word));
    bool: u64::from, |word| if word < 2 { Some(word == 1) } else { None };
    char: u64::from, |word| word.try_into().ok().and_then(char::from_u32);
    (): |()| 0, |_| Some(());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn survives<T: Scalar + PartialEq + core::fmt::Debug>(values: &[T]) {
        for value in values {
            assert_eq!(T::from_word(value.to_word()), Some(*value));
        }
    }

    #[test]
    fn survives_a_round_trip() {
        survives(&[0, 1, u8::MAX]);
        survives(&[0, u16::MAX]);
        survives(&[0, u32::MAX]);
        survives(&[0, u64::MAX]);
        survives(&[0, -1, i8::MIN, i8::MAX]);
        survives(&[0, -1, i16::MIN, i16::MAX]);
        survives(&[0, -1, i32::MIN, i32::MAX]);
        survives(&[0, -1, i64::MIN, i64::MAX]);
        survives(&[0.0, -1.5, f32::INFINITY, f32::MIN_POSITIVE]);
        survives(&[0.0, -1.5, f64::NEG_INFINITY, f64::MAX]);
        survives(&[false, true]);
        survives(&['\0', 'ü', char::MAX]);
        survives(&[()]);
        assert_eq!(f32::from_word(f32::NAN.to_word()).map(f32::to_bits), Some(f32::NAN.to_bits()));
    }

    #[test]
    fn takes_no_word_that_is_no_value() {
        assert_eq!((u8::from_word(256), u16::from_word(1 << 16), u32::from_word(1 << 32)), (None, None, None));
        assert_eq!((i8::from_word(128), i16::from_word(0xffff), i32::from_word(0xffff_ffff)), (None, None, None));
        assert_eq!((bool::from_word(2), bool::from_word(u64::MAX)), (None, None));
        assert_eq!((char::from_word(0xd800), char::from_word(0x11_0000)), (None, None));
        assert_eq!((char::from_word(1 << 32), f32::from_word(1 << 32)), (None, None));
    }
}
