//! The declarations of parameters, which become a record of the blob when the module is compiled.

use super::record::{ENTRY_HEADER, MAX_PARAMETERS};
use super::text::Text;
use super::value::ParameterType;
use crate::const_bytes::{put, put_first};
use crate::header::{NAME_SIZE, is_name_byte};
use crate::state::PlainData;

/// The size of the longest value, in bytes.
const MAX_SIZE: usize = 256;

/// The types that parameters may have.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no type of a parameter",
    label = "not a parameter's type",
    note = "expected `u8` to `u64`, `i8` to `i64`, `f32`, `f64`, `bool`, `char` or `Text<N>`"
)]
pub trait ParameterValue: PlainData + sealed::Sealed {
    /// The type.
    const TYPE: ParameterType;
    /// The least and the greatest value of a number.
    const BOUNDS: Option<(Self, Self)>;
}

mod sealed {
    /// A type whose bytes in memory are those of its plain data: without padding, all initialised.
    pub trait Sealed {}
}

macro_rules! types {
    ($($type:ty, $kind:ident, $bounds:expr;)+) => {$(
        impl sealed::Sealed for $type {}

        impl ParameterValue for $type {
            const TYPE: ParameterType = ParameterType::$kind;
            const BOUNDS: Option<($type, $type)> = $bounds;
        }
    )+};
}

types! {
    u8, U8, Some((u8::MIN, u8::MAX));
    u16, U16, Some((u16::MIN, u16::MAX));
    u32, U32, Some((u32::MIN, u32::MAX));
    u64, U64, Some((u64::MIN, u64::MAX));
    i8, I8, Some((i8::MIN, i8::MAX));
    i16, I16, Some((i16::MIN, i16::MAX));
    i32, I32, Some((i32::MIN, i32::MAX));
    i64, I64, Some((i64::MIN, i64::MAX));
    f32, F32, Some((f32::MIN, f32::MAX));
    f64, F64, Some((f64::MIN, f64::MAX));
    bool, Bool, None;
    char, Char, None;
}

impl<const N: usize> sealed::Sealed for Text<N> {}

impl<const N: usize> ParameterValue for Text<N> {
    const TYPE: ParameterType = ParameterType::Text;
    const BOUNDS: Option<(Text<N>, Text<N>)> = None;
}

/// A parameter as the macro declares it.
#[derive(Clone, Copy, Debug)]
pub struct Declaration {
    name: &'static str,
    description: &'static str,
    kind: ParameterType,
    size: usize,
    /// The default; only the first `size` bytes count.
    default: [u8; MAX_SIZE],
    /// The least and the greatest value of a number, likewise.
    bounds: Option<[[u8; MAX_SIZE]; 2]>,
}

impl Declaration {
    /// Creates a declaration; `range` is that of a number.
    ///
    /// # Panics
    /// If the name breaks the rule for names, the description has more than 65,535 bytes, or a range belongs to no
    /// number. In a constant, this is an error of the compilation.
    #[must_use]
    pub const fn new<T: ParameterValue>(
        name: &'static str,
        description: &'static str,
        default: T,
        range: Option<(T, T)>,
    ) -> Declaration {
        assert!(!name.is_empty() && name.len() < NAME_SIZE, "parameters!: a name has 1 to 31 bytes");
        let mut index = 0;
        while index < name.len() {
            assert!(is_name_byte(name.as_bytes()[index]), "parameters!: a name has only a-z, 0-9 and _");
            index += 1;
        }
        assert!(description.len() <= u16::MAX as usize, "parameters!: a description has at most 65535 bytes");
        assert!(range.is_none() || T::BOUNDS.is_some(), "parameters!: a range is for numbers");
        let range = if range.is_some() { range } else { T::BOUNDS };
        let bounds = match &range {
            Some((least, greatest)) => Some([bytes_of(least), bytes_of(greatest)]),
            None => None,
        };
        Declaration { name, description, kind: T::TYPE, size: T::SIZE, default: bytes_of(&default), bounds }
    }
}

/// Returns the bytes of a value, as they are in memory and in the record: x86-64 is little-endian.
const fn bytes_of<T: ParameterValue>(value: &T) -> [u8; MAX_SIZE] {
    assert!(size_of::<T>() == T::SIZE && T::SIZE <= MAX_SIZE, "a value has the bytes of its plain data");
    let (mut bytes, mut index) = ([0; MAX_SIZE], 0);
    while index < T::SIZE {
        // SAFETY: the value has `SIZE` bytes, as was just checked, and all are initialised: its type is `Sealed`.
        bytes[index] = unsafe { (&raw const *value).cast::<u8>().add(index).read() };
        index += 1;
    }
    bytes
}

/// Returns the size of the list of `declarations`, in bytes.
#[must_use]
pub const fn list_size(declarations: &[Declaration]) -> usize {
    let (mut size, mut index) = (0, 0);
    while index < declarations.len() {
        let Declaration { name, description, size: value, bounds, .. } = &declarations[index];
        let values = if bounds.is_some() { 3 } else { 1 };
        size += ENTRY_HEADER + name.len() + values * *value + description.len();
        index += 1;
    }
    size
}

/// Encodes the list of `declarations` in exactly [`list_size`] bytes.
///
/// # Panics
/// If there are more than 64. In a constant, this is an error of the compilation.
#[must_use]
pub const fn encode_list<const N: usize>(declarations: &[Declaration]) -> [u8; N] {
    assert!(declarations.len() <= MAX_PARAMETERS, "parameters!: a module has at most 64 parameters");
    let (mut bytes, mut position, mut index) = ([0; N], 0, 0);
    while index < declarations.len() {
        let Declaration { name, description, kind, size, default, bounds } = &declarations[index];
        position = put(&mut bytes, position, &[*kind as u8, name.len() as u8]);
        position = put(&mut bytes, position, &(*size as u16).to_le_bytes());
        position = put(&mut bytes, position, &(description.len() as u16).to_le_bytes());
        position = put(&mut bytes, position, name.as_bytes());
        position = put_first(&mut bytes, position, default, *size);
        if let Some([least, greatest]) = bounds {
            position = put_first(&mut bytes, position, least, *size);
            position = put_first(&mut bytes, position, greatest, *size);
        }
        position = put(&mut bytes, position, description.as_bytes());
        index += 1;
    }
    bytes
}
