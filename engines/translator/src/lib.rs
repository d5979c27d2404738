//! Compiles WebAssembly to blobs.
//!
//! ```text
//! options.rs                  what to make
//! module/                     the module: parsed, validated, within limits
//! isa.rs                      the target
//! routines.rs  symbols.rs     the functions besides the module's, and the names that code refers to other code and data by
//! traps.rs  signatures.rs     codes of traps, signatures of functions
//! plan/                       what lies where in the blob, before there is code
//! emitter/                    what all code uses: addresses, calls, accesses to the context
//! function/                   a function's operators, in Cranelift's terms
//! runtime/                    the code that no function of the module is: imports, instantiation, entry, helpers
//! code/                       machine code, collated and linked
//! blob.rs                     the blob's bytes: header, segments, records
//! ```
//!
//! Each imports only from those above it.
//!
//! Nothing here knows a module system beyond the format of its blobs. [`translate`] is a function of its arguments alone: the
//! same bytes give the same blob, wherever it runs.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod blob;
mod code;
mod emitter;
mod function;
mod isa;
mod module;
mod options;
mod plan;
mod routines;
mod runtime;
mod signatures;
mod symbols;
mod traps;

use alloc::vec::Vec;

pub use bareflow_portable::refusal::Refusal;
pub use options::{Bounds, Optimization, Options};

/// Checks that `wasm` is valid and that all it uses is supported, as far as can be told without compiling it.
///
/// # Errors
/// What is wrong, or not supported, and where.
pub fn validate(wasm: &[u8]) -> Result<(), Refusal> {
    module::parse(wasm).map(|_| ())
}

/// Compiles `wasm` to a blob. `name` is the module's name if the module does not say it.
///
/// # Errors
/// What is wrong, or not supported, or too large, and where.
pub fn translate(options: &Options, name: &str, wasm: &[u8]) -> Result<Vec<u8>, Refusal> {
    options.check()?;
    let module = module::parse(wasm)?;
    let plan = plan::Plan::new(&module, options, name)?;
    let compiled = code::compile(&module, &plan, options)?;
    blob::write(&module, &plan, wasm, &compiled)
}
