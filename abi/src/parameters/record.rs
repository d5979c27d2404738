//! The list of a module's parameters, as a record of its blob: read by loaders, and written in `declaration.rs`.
//!
//! An entry is the number of a type (1 byte), the length of the name (1), the size of a value in bytes (2), the length of
//! the description (2); then the name, the default, for a number the least and the greatest value, and the description.

use core::fmt;

use super::value::{ParameterType, Value};
use crate::header::{NAME_SIZE, is_name_byte};

/// The maximum number of parameters of a module.
pub const MAX_PARAMETERS: usize = 64;

/// The size of an entry before its name, in bytes.
pub(super) const ENTRY_HEADER: usize = 6;

/// A parameter as it was declared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameter<'bytes> {
    /// The name.
    pub name: &'bytes str,
    /// The type.
    pub kind: ParameterType,
    /// The size of a value, in bytes.
    pub size: u16,
    /// The value where none is set.
    pub default: Value<'bytes>,
    /// The least and the greatest value of a number.
    pub bounds: Option<[Value<'bytes>; 2]>,
    /// The text of its documentation, with line ends.
    pub description: &'bytes str,
}

impl Parameter<'_> {
    /// Returns whether `value`, which is of the type, may be set: a number within the bounds, a text that has room.
    #[must_use]
    pub fn admits(&self, value: &Value<'_>) -> bool {
        match (self.bounds, value) {
            (Some([least, greatest]), _) => least <= *value && *value <= greatest,
            (None, Value::Text(text)) => text.len() < usize::from(self.size),
            (None, _) => true,
        }
    }
}

/// Shows the values that may be set: `u32, 68 to 9000`, or `Text of at most 32 bytes`.
#[derive(Clone, Copy, Debug)]
pub struct Admitted<'parameter>(&'parameter Parameter<'parameter>);

impl Parameter<'_> {
    /// Returns what may be set, for people: `u32, 68 to 9000`, or `Text of at most 32 bytes`.
    #[must_use]
    pub const fn admitted(&self) -> Admitted<'_> {
        Admitted(self)
    }
}

impl fmt::Display for Admitted<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Parameter { kind, size, bounds, .. } = self.0;
        out.write_str(kind.name())?;
        match *bounds {
            // All finite numbers, which have forty digits.
            Some([Value::F32(f32::MIN), Value::F32(f32::MAX)] | [Value::F64(f64::MIN), Value::F64(f64::MAX)]) => Ok(()),
            Some([least, greatest]) => write!(out, ", {least} to {greatest}"),
            None if *kind == ParameterType::Text => write!(out, " of at most {} bytes", size - 1),
            None => Ok(()),
        }
    }
}

/// An error in a list of parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadParameter {
    /// An entry extends beyond the end of the list.
    CutOff,
    /// A name breaks the naming rule.
    Name,
    /// A name appears twice.
    Twice,
    /// The type is unknown, or its values don't have this size.
    Type,
    /// The default or a bound is no value of the type.
    Value,
    /// The bounds contain no value.
    Bounds,
    /// The default is outside of the bounds.
    Default,
    /// The description is no text.
    Description,
    /// There are more than [`MAX_PARAMETERS`] entries.
    TooMany,
}

impl BadParameter {
    /// Returns a description for messages.
    #[must_use]
    pub const fn what(self) -> &'static str {
        match self {
            BadParameter::CutOff => "it ends behind the list's end",
            BadParameter::Name => "its name breaks the rule",
            BadParameter::Twice => "its name is there twice",
            BadParameter::Type => "its type is unknown, or has values of another size",
            BadParameter::Value => "its default or a bound is no value of its type",
            BadParameter::Bounds => "no value is within its bounds",
            BadParameter::Default => "its default is outside of its bounds",
            BadParameter::Description => "its description is no text",
            BadParameter::TooMany => "it is one too many",
        }
    }
}

/// An iterator over the entries of a list; it ends at the first that can't be read.
#[derive(Clone, Copy, Debug)]
pub struct Parameters<'bytes>(&'bytes [u8]);

impl<'bytes> Parameters<'bytes> {
    /// Creates an iterator over an encoded list.
    #[must_use]
    pub const fn new(bytes: &'bytes [u8]) -> Parameters<'bytes> {
        Parameters(bytes)
    }

    /// Validates the list `bytes`. Returns the number of entries.
    ///
    /// # Errors
    /// The number of the first invalid entry, counted from 1, and the reason.
    pub fn check(bytes: &'bytes [u8]) -> Result<usize, (usize, BadParameter)> {
        let (mut rest, mut count) = (Parameters(bytes), 0);
        while !rest.0.is_empty() {
            let found = rest.read();
            let mut earlier = Parameters(bytes).take(count);
            count += 1;
            let wrong = |what| Err((count, what));
            match found {
                _ if count > MAX_PARAMETERS => return wrong(BadParameter::TooMany),
                Err(what) => return wrong(what),
                Ok(entry) if entry.bounds.is_some_and(|[least, greatest]| !matches(&least, &greatest)) => {
                    return wrong(BadParameter::Bounds);
                }
                Ok(entry) if !entry.admits(&entry.default) => return wrong(BadParameter::Default),
                Ok(entry) if earlier.any(|other| other.name == entry.name) => return wrong(BadParameter::Twice),
                Ok(_) => {}
            }
        }
        Ok(count)
    }

    fn read(&mut self) -> Result<Parameter<'bytes>, BadParameter> {
        let mut rest = self.0;
        let mut take = |length: usize| {
            let (part, behind) = rest.split_at_checked(length).ok_or(BadParameter::CutOff)?;
            rest = behind;
            Ok(part)
        };
        let [kind, name, size, size_high, description, description_high] =
            *take(ENTRY_HEADER)?.first_chunk::<ENTRY_HEADER>().ok_or(BadParameter::CutOff)?;
        let size = u16::from_le_bytes([size, size_high]);
        let kind = ParameterType::from_number(kind).filter(|kind| kind.has_size(size)).ok_or(BadParameter::Type)?;
        let name = take(name.into())?;
        let is_name = (1..NAME_SIZE).contains(&name.len()) && name.iter().all(|&byte| is_name_byte(byte));
        let name = core::str::from_utf8(name).ok().filter(|_| is_name).ok_or(BadParameter::Name)?;
        let mut value = || Value::decode(kind, take(size.into())?).ok_or(BadParameter::Value);
        let default = value()?;
        let bounds = if kind.is_number() { Some([value()?, value()?]) } else { None };
        let description = take(u16::from_le_bytes([description, description_high]).into())?;
        let description = core::str::from_utf8(description).map_err(|_| BadParameter::Description)?;
        self.0 = rest;
        Ok(Parameter { name, kind, size, default, bounds, description })
    }
}

/// Returns whether there are values from `least` to `greatest`, neither of which may be a NaN.
fn matches(least: &Value<'_>, greatest: &Value<'_>) -> bool {
    least <= greatest
}

impl<'bytes> Iterator for Parameters<'bytes> {
    type Item = Parameter<'bytes>;

    fn next(&mut self) -> Option<Parameter<'bytes>> {
        self.read().ok()
    }
}
