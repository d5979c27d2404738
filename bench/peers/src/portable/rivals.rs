//! The engines of others: wasmtime's compilers, and wasmi.

use wasmtime::{Config, Engine, Module, Strategy};

use super::host;
use super::subjects::Subject;
use crate::measure::Contender;
use crate::peers::BoxError;

/// One of wasmtime's compilers, on one thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compiler {
    /// Cranelift, with memory in a reservation between guard pages.
    Window,
    /// Cranelift, whose code compares each address, and is safe from Spectre.
    Checked,
    /// The same without signals: there wasmtime has no guard against Spectre.
    Unguarded,
    /// Winch, in one pass.
    Winch,
}

/// All of them.
pub const COMPILERS: [Compiler; 4] = [Compiler::Window, Compiler::Checked, Compiler::Unguarded, Compiler::Winch];

impl Compiler {
    /// Returns the name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Compiler::Window => "wasmtime",
            Compiler::Checked => "wasmtime, checked",
            Compiler::Unguarded => "wasmtime, no guard",
            Compiler::Winch => "Winch",
        }
    }

    /// Returns the engine.
    pub fn engine(self) -> Result<Engine, BoxError> {
        let mut config = Config::new();
        match self {
            Compiler::Window => {}
            Compiler::Checked | Compiler::Unguarded => {
                config.memory_reservation(0).memory_guard_size(0).signals_based_traps(self == Compiler::Checked);
            }
            Compiler::Winch => {
                config.strategy(Strategy::Winch);
            }
        }
        Ok(Engine::new(&config)?)
    }

    /// Returns a contender that calls an instance of the module.
    pub fn contender(self, subject: &Subject, expected: &(i32, Vec<u8>)) -> Result<Contender<'static>, BoxError> {
        let engine = self.engine()?;
        let module = Module::new(&engine, &subject.wasm)?;
        let mut instance = host::wasmtime::Instance::new(&engine, &module, &subject.input)?;
        check(&subject.name, (instance.run()?, instance.output()), expected)?;
        Ok(Contender::new(self.name(), move || instance.run().unwrap_or_else(|error| panic!("{error}"))))
    }
}

/// Returns a contender that interprets the module by wasmi.
pub fn wasmi(subject: &Subject, expected: &(i32, Vec<u8>)) -> Result<Contender<'static>, BoxError> {
    let engine = wasmi::Engine::default();
    let module = wasmi::Module::new(&engine, &subject.wasm)?;
    let mut instance = host::wasmi::Instance::new(&engine, &module, &subject.input)?;
    check(&subject.name, (instance.run()?, instance.output()), expected)?;
    Ok(Contender::new("wasmi", move || instance.run().unwrap_or_else(|error| panic!("{error}"))))
}

/// Checks that a call did what it does natively.
pub fn check(name: &str, found: (i32, &[u8]), expected: &(i32, Vec<u8>)) -> Result<(), BoxError> {
    if found != (expected.0, &expected.1[..]) {
        return Err(
            format!("{name} returns {} and {} bytes, expected what it does natively", found.0, found.1.len()).into()
        );
    }
    Ok(())
}
