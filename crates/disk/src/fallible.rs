//! Fallible allocation, for sizes that depend on a disk or a request: a lack of memory is an error.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write};

use crate::error::DiskError;

/// Appends `item` to `list`.
pub fn push<Item>(list: &mut Vec<Item>, item: Item) -> Result<(), DiskError> {
    list.try_reserve(1).map_err(|_| DiskError::OutOfMemory { wanted: size_of::<Item>() as u64 })?;
    list.push(item);
    Ok(())
}

/// Copies a text into memory of its own.
pub fn copy(text: &str) -> Result<String, DiskError> {
    format(format_args!("{text}"))
}

/// Formats a text.
pub fn format(arguments: fmt::Arguments<'_>) -> Result<String, DiskError> {
    let mut text = Text(String::new(), 0);
    // Formatting of values does not fail here, so an error always means that memory ran out.
    text.write_fmt(arguments).map_err(|_| DiskError::OutOfMemory { wanted: text.1 })?;
    Ok(text.0)
}

/// A growing text, and the number of bytes that were requested last.
struct Text(String, u64);

impl Write for Text {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        self.1 = part.len() as u64;
        self.0.try_reserve(part.len()).map_err(|_| fmt::Error)?;
        self.0.push_str(part);
        Ok(())
    }
}
