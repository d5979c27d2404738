//! The reasons for which WebAssembly was not compiled.

use bareflow_loader::diagnosis::FaultText;
use bareflow_loader::{Diagnosis, Fault, ModuleId, ModuleManager, Platform};
use bareflow_protocol::control::RefusalCode;

use crate::console::{Console, show_fault};
use crate::error_text;
use crate::fallible::ErrorText;

/// The reason for which WebAssembly was not compiled; no module has changed, but an engine that faulted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompileRefusal {
    /// No engine that could do it is loaded. One may come.
    NoEngine(ErrorText),
    /// The engine is compiling another module.
    Busy(ErrorText),
    /// Memory ran out.
    NoMemory(ErrorText),
    /// The engine faulted.
    Faulted(ModuleId, Fault),
    /// Any other reason.
    Refused(ErrorText),
}

impl CompileRefusal {
    /// Returns the kind of refusal that it is for clients.
    #[must_use]
    pub const fn code(&self) -> RefusalCode {
        match self {
            CompileRefusal::NoMemory(_) => RefusalCode::NoMemory,
            _ => RefusalCode::LoadFailed,
        }
    }

    /// Returns the reason as text. Shows a fault on the console, and gives its diagnosis to `keep`.
    pub fn explain<P: Platform>(
        self,
        manager: &ModuleManager<P>,
        console: &impl Console,
        keep: impl FnOnce(ModuleId, Option<Diagnosis>),
    ) -> ErrorText {
        let (engine, fault) = match self {
            CompileRefusal::NoEngine(text)
            | CompileRefusal::Busy(text)
            | CompileRefusal::NoMemory(text)
            | CompileRefusal::Refused(text) => return text,
            CompileRefusal::Faulted(engine, fault) => (engine, fault),
        };
        let Some(profile) = manager.stats(engine) else { return error_text!("the engine faulted: {fault}") };
        let diagnosis = manager.take_diagnosis(engine);
        show_fault(console, FaultText::new(&profile, &fault, diagnosis.as_ref()));
        let name = profile.name;
        let text = error_text!(
            "the engine {name} faulted: {fault}; nothing else is affected: choose another `--tier`, or raise \
             `--budget {name}.LIMIT=..` if that is lower than what the engine asks for"
        );
        keep(engine, diagnosis);
        text
    }
}
