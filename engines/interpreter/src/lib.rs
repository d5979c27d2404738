//! An engine that interprets: it makes blobs of the runner and a module of WebAssembly.
//!
//! ```text
//! module.rs     the module: validated, and what the engine has to know of it
//! rewrite.rs    the module as the runner takes it
//! program.rs    the rewritten module, and what the runner needs besides
//! heap.rs       the heap that it needs
//! runner.rs     the runner's blob, which the build script makes
//! blob.rs       the blob
//! ```

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod blob;
mod heap;
mod module;
mod program;
mod rewrite;
mod runner;

use bareflow_abi::Out;
use bareflow_engine::{CHECKED, Description, Engine, EngineError, Options, SPEED, WINDOW};
use bareflow_portable::kept::Kept;
use spinning_top::Spinlock;

pub use bareflow_portable::refusal::Refusal;
pub use blob::compile;

use crate::module::Module;

bareflow_abi::module!(exports = [Engine], provider = Server);

static KEPT: Spinlock<Kept> = Spinlock::new(Kept::new());

/// Keeps the reason for a refusal, and returns the error.
fn refuse(refusal: Refusal) -> EngineError {
    KEPT.lock().refuse(refusal)
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
        Err(Refusal::bad_option(alloc::format!("the option {what} is {found}, which this engine does not know")))
    };
    // An interpreter checks all accesses, wherever the memory lies, and has one way to run code on all processors.
    match options {
        Options { optimization, .. } if *optimization > SPEED => wrong("optimization", *optimization),
        Options { bounds, .. } if *bounds > WINDOW => wrong("bounds", *bounds),
        // Nor does it keep a processor from guessing past a check.
        Options { spectre_guard, .. } if *spectre_guard != 0 => wrong("spectre_guard", *spectre_guard),
        _ => Ok(()),
    }
}

impl Engine for Server<'_> {
    fn describe(&self, into: &mut Description) -> Result<(), EngineError> {
        *into = Description { optimizations: 0, bounds: 1 << CHECKED | 1 << WINDOW };
        Ok(())
    }

    fn validate(&mut self, wasm: &[u8]) -> Result<(), EngineError> {
        validate(wasm).map_err(refuse)
    }

    fn compile(&mut self, options: &Options, name: &str, wasm: &[u8]) -> Result<u64, EngineError> {
        KEPT.lock().forget();
        let blob = check(options).and_then(|()| compile(options, name, wasm)).map_err(refuse)?;
        Ok(KEPT.lock().keep(blob))
    }

    fn read(&self, offset: u64, into: &mut Out<'_, u8>) -> Result<(), EngineError> {
        KEPT.lock().read(offset, into)
    }

    fn forget(&mut self) -> Result<(), EngineError> {
        KEPT.lock().forget();
        Ok(())
    }

    fn explain(&self, into: &mut Out<'_, u8>) -> Result<(), EngineError> {
        KEPT.lock().explain(into);
        Ok(())
    }
}
