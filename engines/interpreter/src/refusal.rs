//! The reason for which a module gets no blob.

use alloc::string::{String, ToString};

use bareflow_engine::EngineError;
use wasmparser::BinaryReaderError;

/// An error, and its text: what was found where, what was expected, what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The error.
    pub error: EngineError,
    /// The text.
    pub text: String,
}

impl Refusal {
    /// Creates the refusal of bytes that are no valid module.
    pub fn invalid(text: impl Into<String>) -> Refusal {
        Refusal { error: EngineError::Invalid, text: text.into() }
    }

    /// Creates the refusal of a module that uses what is not supported.
    pub fn unsupported(text: impl Into<String>) -> Refusal {
        Refusal { error: EngineError::Unsupported, text: text.into() }
    }

    /// Creates the refusal of a module that is too large.
    pub fn too_large(text: impl Into<String>) -> Refusal {
        Refusal { error: EngineError::TooLarge, text: text.into() }
    }

    /// Creates the refusal for want of `bytes` of memory.
    #[must_use]
    pub fn no_memory(bytes: usize) -> Refusal {
        let text = alloc::format!("{bytes} bytes more than the engine's heap has; give the engine a larger heap");
        Refusal { error: EngineError::NoMemory, text }
    }
}

impl From<BinaryReaderError> for Refusal {
    fn from(error: BinaryReaderError) -> Refusal {
        Refusal::invalid(error.to_string())
    }
}
