//! The reasons for which there is no blob.

use alloc::string::String;
use core::fmt;

/// The class of an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The bytes are no valid WebAssembly, or no valid portable module.
    Invalid,
    /// The module uses a feature or an import that is not supported.
    Unsupported,
    /// The module, or a part of it, is larger than what is compiled.
    TooLarge,
    /// An option has no such value.
    BadOption,
}

/// A reason for which there is no blob: what was found, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The class.
    pub kind: ErrorKind,
    /// The text.
    pub message: String,
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)
    }
}

impl core::error::Error for Error {}

impl Error {
    pub(crate) fn unsupported(message: impl Into<String>) -> Error {
        Error { kind: ErrorKind::Unsupported, message: message.into() }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Error {
        Error { kind: ErrorKind::Invalid, message: message.into() }
    }

    pub(crate) fn too_large(message: impl Into<String>) -> Error {
        Error { kind: ErrorKind::TooLarge, message: message.into() }
    }
}

impl From<wasmparser::Error> for Error {
    fn from(error: wasmparser::Error) -> Error {
        let message = alloc::format!("{} at byte {:#x}", error.message(), error.offset());
        // These do not say that a feature would allow it: the validator that is used here does not know SIMD at all.
        let is_multiple = error.message() == "multiple memories";
        match error.missing_wasm_feature() {
            Some(_) => Error::unsupported(message),
            None if is_multiple || message.contains("SIMD") => Error::unsupported(message),
            None if error.message().contains("implementation limit") => Error::too_large(message),
            None => Error::invalid(message),
        }
    }
}
