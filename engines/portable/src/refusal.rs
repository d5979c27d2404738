//! The reason for which a module gets no blob.

use alloc::format;
use alloc::string::String;
use core::fmt;

use bareflow_engine::EngineError;

/// An error, and its text: what was found where, what was expected, what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The error.
    pub error: EngineError,
    /// The text.
    pub text: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

impl core::error::Error for Refusal {}

impl Refusal {
    /// Creates the refusal of bytes that are no valid WebAssembly, or no valid portable module.
    pub fn invalid(text: impl Into<String>) -> Refusal {
        Refusal { error: EngineError::Invalid, text: text.into() }
    }

    /// Creates the refusal of a module that uses a feature or an import that is not supported.
    pub fn unsupported(text: impl Into<String>) -> Refusal {
        Refusal { error: EngineError::Unsupported, text: text.into() }
    }

    /// Creates the refusal of a module that is too large, or a part of it.
    pub fn too_large(text: impl Into<String>) -> Refusal {
        Refusal { error: EngineError::TooLarge, text: text.into() }
    }

    /// Creates the refusal of an option that has no such value.
    pub fn bad_option(text: impl Into<String>) -> Refusal {
        Refusal { error: EngineError::BadOption, text: text.into() }
    }

    /// Creates the refusal for want of `bytes` of memory.
    #[must_use]
    pub fn no_memory(bytes: usize) -> Refusal {
        let text = format!("{bytes} bytes more than the engine's heap has; give the engine a larger heap");
        Refusal { error: EngineError::NoMemory, text }
    }
}

#[cfg(feature = "wasmparser")]
impl From<wasmparser::Error> for Refusal {
    fn from(error: wasmparser::Error) -> Refusal {
        let (message, offset) = (error.message(), error.offset());
        let text = format!("{message} at byte {offset:#x}");
        match error.missing_wasm_feature() {
            Some(_) => Refusal::unsupported(text),
            // These do not say that a feature would allow it: the validator that is used here does not know SIMD at all.
            None if message.contains("SIMD") => Refusal::unsupported(format!(
                "{text}: SIMD is not supported; compile without it (Rust: without `-C target-feature=+simd128`, clang: \
                 without `-msimd128`)"
            )),
            None if message == "multiple memories" => Refusal::unsupported(text),
            None if message.contains("implementation limit") => Refusal::too_large(text),
            None => Refusal::invalid(text),
        }
    }
}
