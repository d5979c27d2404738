//! An engine that interprets: it makes blobs of the runner and a module of WebAssembly.
//!
//! ```text
//! module.rs     the module: validated, and what the engine has to know of it
//! rewrite.rs    the module as the runner takes it
//! program.rs    the rewritten module, and what the runner needs besides
//! heap.rs       the heap that it needs
//! runner.rs     the runner's blob, which the build script makes
//! blob.rs       the blob
//! refusal.rs    the reasons for which there is none
//! ```

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod blob;
mod heap;
mod module;
mod program;
mod refusal;
mod rewrite;
mod runner;

use alloc::string::String;
use alloc::vec::Vec;

use bareflow_abi::Out;
use bareflow_engine::{CHECKED, Description, Engine, EngineError, Options, SPEED, WINDOW};
use spinning_top::Spinlock;

pub use blob::compile;
pub use refusal::Refusal;

use crate::module::Module;

bareflow_abi::module!(exports = [Engine], provider = Server);

/// The blob and the reason that the engine keeps between calls.
struct Kept {
    blob: Vec<u8>,
    reason: String,
}

static KEPT: Spinlock<Kept> = Spinlock::new(Kept { blob: Vec::new(), reason: String::new() });

/// Notes the reason for a refusal.
fn note<T>(kept: &mut Kept, result: Result<T, Refusal>) -> Result<T, EngineError> {
    result.map_err(|refusal| {
        kept.reason = refusal.text;
        refusal.error
    })
}

/// Checks that a module is valid, and that the engine supports all that it uses.
///
/// # Errors
/// The reason for which it is not.
pub fn validate(wasm: &[u8]) -> Result<(), Refusal> {
    Module::read(wasm).map(|_| ())
}

/// Returns the refusal of options that the engine does not know.
fn check(options: &Options) -> Result<(), Refusal> {
    let wrong = |what: &str, found: u32| {
        let text = alloc::format!("the option {what} is {found}, which this engine does not know");
        Err(Refusal { error: EngineError::BadOption, text })
    };
    // An interpreter checks all accesses, and has one way to run code on all processors.
    match options {
        Options { optimization, .. } if *optimization > SPEED => wrong("optimization", *optimization),
        Options { bounds, .. } if *bounds > WINDOW => wrong("bounds", *bounds),
        _ => Ok(()),
    }
}

impl Engine for Server<'_> {
    fn describe(&self, into: &mut Description) -> Result<(), EngineError> {
        *into = Description { optimizations: 0, bounds: 1 << CHECKED };
        Ok(())
    }

    fn validate(&mut self, wasm: &[u8]) -> Result<(), EngineError> {
        note(&mut KEPT.lock(), validate(wasm))
    }

    fn compile(&mut self, options: &Options, name: &str, wasm: &[u8]) -> Result<u64, EngineError> {
        let mut kept = KEPT.lock();
        kept.blob = Vec::new();
        let blob = check(options).and_then(|()| compile(options, name, wasm));
        kept.blob = note(&mut kept, blob)?;
        Ok(kept.blob.len() as u64)
    }

    fn read(&self, offset: u64, into: &mut Out<'_, u8>) -> Result<(), EngineError> {
        let mut kept = KEPT.lock();
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let Some(rest) = kept.blob.get(offset..).filter(|_| !kept.blob.is_empty()) else {
            kept.reason = alloc::format!("the kept blob has {} bytes, expected at least {offset}", kept.blob.len());
            return Err(EngineError::NoBlob);
        };
        into.extend_from_slice(rest);
        Ok(())
    }

    fn forget(&mut self) -> Result<(), EngineError> {
        KEPT.lock().blob = Vec::new();
        Ok(())
    }

    fn explain(&self, into: &mut Out<'_, u8>) -> Result<(), EngineError> {
        into.extend_from_slice(KEPT.lock().reason.as_bytes());
        Ok(())
    }
}
