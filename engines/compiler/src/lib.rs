//! An engine that compiles WebAssembly to machine code.
//!
//! All work is that of the translator; here is what makes it a module: the interface, and what is kept between its calls.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::format;

use bareflow_abi::Out;
use bareflow_engine::{CHECKED, Description, Engine, EngineError, Options, QUICK, SPEED, WINDOW};
use bareflow_portable::kept::Kept;
use bareflow_translator::{Bounds, Optimization, Refusal, translate, validate};
use spinning_top::Spinlock;

bareflow_abi::module!(exports = [Engine], provider = Server);

static KEPT: Spinlock<Kept> = Spinlock::new(Kept::new());

/// Keeps the reason for a refusal, and returns the error.
fn refuse(refusal: Refusal) -> EngineError {
    KEPT.lock().refuse(refusal)
}

/// Returns the translator's options.
///
/// # Errors
/// The option that has no such value.
fn options_of(options: &Options) -> Result<bareflow_translator::Options, Refusal> {
    let bad = |what: &str, found: u32, known: &str| {
        Refusal::bad_option(format!("the option {what} is {found}, expected {known}"))
    };
    let spectre_guard = match options.spectre_guard {
        0 => false,
        1 => true,
        found => return Err(bad("spectre_guard", found, "0 or 1")),
    };
    Ok(bareflow_translator::Options {
        version: (options.version_major, options.version_minor, options.version_patch),
        optimization: match options.optimization {
            QUICK => Optimization::Quick,
            SPEED => Optimization::Speed,
            found => return Err(bad("optimization", found, "0 (quick) or 1 (speed)")),
        },
        cpu_level: u8::try_from(options.cpu_level).map_err(|_| bad("cpu_level", options.cpu_level, "1 to 4"))?,
        bounds: match options.bounds {
            CHECKED => Bounds::Checked,
            WINDOW => Bounds::Window,
            found => return Err(bad("bounds", found, "0 (checked) or 1 (window)")),
        },
        spectre_guard,
        maximum_pages: options.maximum_pages,
    })
}

impl Engine for Server<'_> {
    fn describe(&self, into: &mut Description) -> Result<(), EngineError> {
        *into = Description { optimizations: 1 << QUICK | 1 << SPEED, bounds: 1 << CHECKED | 1 << WINDOW };
        Ok(())
    }

    fn validate(&mut self, wasm: &[u8]) -> Result<(), EngineError> {
        validate(wasm).map_err(refuse)
    }

    fn compile(&mut self, options: &Options, name: &str, wasm: &[u8]) -> Result<u64, EngineError> {
        // Its memory may be what this compilation needs.
        KEPT.lock().forget();
        let blob = options_of(options).and_then(|options| translate(&options, name, wasm)).map_err(refuse)?;
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
