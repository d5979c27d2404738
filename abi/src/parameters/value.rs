//! The types of parameters, and values of any of them, as bytes and as text.

use core::fmt;

/// The type of a parameter, by its number in the record.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the type of that name")]
pub enum ParameterType {
    U8 = 1,
    U16 = 2,
    U32 = 3,
    U64 = 4,
    I8 = 5,
    I16 = 6,
    I32 = 7,
    I64 = 8,
    F32 = 9,
    F64 = 10,
    Bool = 11,
    Char = 12,
    Text = 13,
}

/// The types, in the order of their numbers, with their names and their sizes in bytes. A text says its own.
const TYPES: [(ParameterType, &str, u16); 13] = [
    (ParameterType::U8, "u8", 1),
    (ParameterType::U16, "u16", 2),
    (ParameterType::U32, "u32", 4),
    (ParameterType::U64, "u64", 8),
    (ParameterType::I8, "i8", 1),
    (ParameterType::I16, "i16", 2),
    (ParameterType::I32, "i32", 4),
    (ParameterType::I64, "i64", 8),
    (ParameterType::F32, "f32", 4),
    (ParameterType::F64, "f64", 8),
    (ParameterType::Bool, "bool", 1),
    (ParameterType::Char, "char", 4),
    (ParameterType::Text, "Text", 0),
];

/// The sizes that a text may have, in bytes: its length, and at most 255 bytes.
const TEXT_SIZES: core::ops::RangeInclusive<u16> = 1..=256;

impl ParameterType {
    /// Returns the type with the given number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<ParameterType> {
        TYPES.iter().map(|(kind, ..)| *kind).find(|kind| *kind as u8 == number)
    }

    /// Returns the name, as in Rust.
    #[must_use]
    pub fn name(self) -> &'static str {
        TYPES.iter().find(|(kind, ..)| *kind == self).map_or("", |(_, name, _)| name)
    }

    /// Returns whether values of the type may have `size` bytes.
    #[must_use]
    pub fn has_size(self, size: u16) -> bool {
        match self {
            ParameterType::Text => TEXT_SIZES.contains(&size),
            _ => TYPES.iter().any(|(kind, _, own)| *kind == self && *own == size),
        }
    }

    /// Returns whether it is a number, whose values have bounds.
    #[must_use]
    pub const fn is_number(self) -> bool {
        !matches!(self, ParameterType::Bool | ParameterType::Char | ParameterType::Text)
    }

    const fn is_signed(self) -> bool {
        matches!(self, ParameterType::I8 | ParameterType::I16 | ParameterType::I32 | ParameterType::I64)
    }
}

/// The value of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub enum Value<'bytes> {
    /// A whole number of any width.
    Integer(i128),
    /// An `f32`.
    F32(f32),
    /// An `f64`.
    F64(f64),
    /// A `bool`.
    Bool(bool),
    /// A `char`.
    Char(char),
    /// A text.
    Text(&'bytes str),
}

impl<'bytes> Value<'bytes> {
    /// Decodes a value of the type; `None` if `bytes` are none.
    #[must_use]
    pub fn decode(kind: ParameterType, bytes: &'bytes [u8]) -> Option<Value<'bytes>> {
        let whole = |is_signed: bool| {
            let is_negative = is_signed && bytes.last().is_some_and(|last| last & 0x80 != 0);
            let mut wide = [if is_negative { 0xff } else { 0 }; 16];
            wide.get_mut(..bytes.len())?.copy_from_slice(bytes);
            Some(i128::from_le_bytes(wide))
        };
        Some(match kind {
            ParameterType::F32 => Value::F32(f32::from_le_bytes(bytes.try_into().ok()?)),
            ParameterType::F64 => Value::F64(f64::from_le_bytes(bytes.try_into().ok()?)),
            ParameterType::Bool => Value::Bool(match whole(false)? {
                0 => false,
                1 => true,
                _ => return None,
            }),
            ParameterType::Char => Value::Char(char::from_u32(u32::from_le_bytes(bytes.try_into().ok()?))?),
            ParameterType::Text => {
                let (&length, text) = bytes.split_first()?;
                Value::Text(core::str::from_utf8(text.get(..usize::from(length))?).ok()?)
            }
            _ => Value::Integer(whole(kind.is_signed())?),
        })
    }

    /// Reads a value of the type as people write it; `None` if `text` is none.
    ///
    /// Whole numbers are decimal, or hexadecimal behind `0x`; a `bool` is `true` or `false`. Bounds are not checked.
    #[must_use]
    pub fn parse(kind: ParameterType, text: &'bytes str) -> Option<Value<'bytes>> {
        Some(match kind {
            // Parsed as the other type is, which saves the code of a second parser.
            ParameterType::F32 => Value::F32(text.parse::<f64>().ok()? as f32),
            ParameterType::F64 => Value::F64(text.parse().ok()?),
            ParameterType::Bool => Value::Bool(text.parse().ok()?),
            ParameterType::Char => Value::Char(text.parse().ok()?),
            ParameterType::Text => Value::Text(text),
            _ => Value::Integer(match text.strip_prefix("0x") {
                Some(digits) => u64::from_str_radix(digits, 16).ok()?.into(),
                None => text.parse().ok()?,
            }),
        })
    }

    /// Encodes the value in `size` bytes, which have room for it, piece by piece.
    pub fn encode(&self, size: u16, put: &mut dyn FnMut(&[u8])) {
        let size = usize::from(size);
        match self {
            Value::Integer(number) => put(number.to_le_bytes().get(..size).unwrap_or_default()),
            Value::F32(number) => put(&number.to_le_bytes()),
            Value::F64(number) => put(&number.to_le_bytes()),
            Value::Bool(is_true) => put(&[u8::from(*is_true)]),
            Value::Char(character) => put(&u32::from(*character).to_le_bytes()),
            Value::Text(text) => {
                // A text fits its size, which is at most 256.
                put(&[text.len() as u8]);
                put(text.as_bytes());
                (1 + text.len()..size).for_each(|_| put(&[0]));
            }
        }
    }
}

/// Shows the value as Rust source would have it, so that no byte of a text gets to a console as it is.
impl fmt::Display for Value<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Integer(number) => write!(out, "{number}"),
            Value::F32(number) => write!(out, "{number}"),
            Value::F64(number) => write!(out, "{number}"),
            Value::Bool(is_true) => write!(out, "{is_true}"),
            Value::Char(character) => write!(out, "{character:?}"),
            Value::Text(text) => write!(out, "{text:?}"),
        }
    }
}
