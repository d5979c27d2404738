//! The interface `engine`: turns WebAssembly into blobs.
//!
//! An *engine* is a module that exports it. The loader calls it with a portable module's bytes, and gets a blob like any
//! other, which it validates as any other; so a defect of an engine is a contained fault or a refused blob.
//!
//! An engine keeps the blob that it made until its next [`compile`](Engine::compile) or [`forget`](Engine::forget), so its
//! user learns the size first, and then [`read`](Engine::read)s it in as many pieces as it likes.

#![no_std]
#![forbid(unsafe_code)]

use bareflow_abi::{CallError, Failure, Out, Plain, interface};

pub use bareflow_abi::memory::MEMORY_PAGE_SIZE as PAGE_BYTES;

/// The bytes that every portable module begins with: WebAssembly's mark and the version 1 of its binary format.
///
/// Source: WebAssembly Core Specification 2.0, section 5.5.16.
pub const WASM_MARK: [u8; 8] = *b"\0asm\x01\0\0\0";

/// Returns whether `bytes` are a module in WebAssembly's binary format, going by how they begin.
#[must_use]
pub fn is_wasm(bytes: &[u8]) -> bool {
    bytes.starts_with(&WASM_MARK)
}

/// An engine.
#[interface(version = "1.0")]
pub trait Engine {
    /// Says what the engine is.
    fn describe(&self, into: &mut Description) -> Result<(), EngineError>;

    /// Checks that `wasm` is valid, and that the engine supports all that it uses.
    fn validate(&mut self, wasm: &[u8]) -> Result<(), EngineError>;

    /// Turns `wasm` into a blob, which the engine keeps. Returns the blob's size in bytes.
    ///
    /// `name` is the module's name if the custom section `bareflow.module` has none.
    fn compile(&mut self, options: &Options, name: &str, wasm: &[u8]) -> Result<u64, EngineError>;

    /// Appends the kept blob's bytes from `offset` on to `into`, as many as there are and there is room for.
    fn read(&self, offset: u64, into: &mut Out<'_, u8>) -> Result<(), EngineError>;

    /// Frees the kept blob.
    fn forget(&mut self) -> Result<(), EngineError>;

    /// Appends the reason for the last error to `into`, as UTF-8: what was found where, what was expected, what to do.
    fn explain(&self, into: &mut Out<'_, u8>) -> Result<(), EngineError>;
}

/// The description of an engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Plain)]
#[repr(C)]
pub struct Description {
    /// A set of the optimizations that it knows: bit *n* for the number *n* of an [`Options::optimization`]. An interpreter
    /// has none.
    pub optimizations: u32,
    /// A set of the [`Options::bounds`] that it knows: bit *n* for the number *n*.
    pub bounds: u32,
}

/// The options of what to make of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Plain)]
#[repr(C)]
pub struct Options {
    /// The module's major version, if it does not say its own.
    pub version_major: u32,
    /// The minor version.
    pub version_minor: u32,
    /// The patch version.
    pub version_patch: u32,
    /// The work to put into fast code: [`QUICK`] or [`SPEED`].
    pub optimization: u32,
    /// The x86-64 level of the processors for which the code is, 1 to 4.
    pub cpu_level: u32,
    /// The way in which accesses stay within memory: [`CHECKED`] or [`WINDOW`].
    pub bounds: u32,
    /// 1 if a processor that guesses past a check stays within what was checked (Spectre variant 1), 0 if it need not. An
    /// interpreter refuses 1.
    pub spectre_guard: u32,
    /// The most pages of 64 KiB that the module's memory may have. The module's own maximum holds if it is smaller.
    pub maximum_pages: u32,
}

/// The optimization for the shortest compilation.
pub const QUICK: u32 = 0;

/// The optimization for the fastest code.
pub const SPEED: u32 = 1;

/// Each access compares its address with the memory's length.
pub const CHECKED: u32 = 0;

/// Accesses are not checked: what they can reach and is not memory is not mapped.
pub const WINDOW: u32 = 1;

impl Options {
    /// Version 1.0.0 in quick code for any processor, with checked accesses and the guard, in up to 64 MiB of memory.
    pub const DEFAULT: Options = Options {
        version_major: 1,
        version_minor: 0,
        version_patch: 0,
        optimization: QUICK,
        cpu_level: 1,
        bounds: CHECKED,
        spectre_guard: 1,
        maximum_pages: 1024,
    };
}

/// An error of an engine. [`Engine::explain`] says more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Failure)]
pub enum EngineError {
    /// The bytes are no valid WebAssembly.
    Invalid,
    /// The module uses a feature or an import that the engine does not support.
    Unsupported,
    /// The module is larger than the engine takes, in whole or in one of its functions.
    TooLarge,
    /// The engine's heap is too small for the module.
    NoMemory,
    /// An option is none that the engine knows.
    BadOption,
    /// The engine keeps no blob, or not so many bytes of one.
    NoBlob,
    /// The call gave no answer.
    #[call_error]
    Call(CallError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_wasm_by_its_first_bytes() {
        assert!(is_wasm(&WASM_MARK));
        for other in [&b""[..], b"\0asm", b"\0asm\x0d\0\x01\0", b"BDOM"] {
            assert!(!is_wasm(other), "{other:?}");
        }
    }
}
