//! The functions that a module exports for its entry.

use alloc::format;

use bareflow_portable::imports::ValueType;
use bareflow_portable::types::is_of;
use wasmparser::FuncType;

use crate::refusal::Refusal;

/// The functions that a module's entry calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exports {
    /// `run`.
    pub run: Option<u32>,
    /// `init`.
    pub init: Option<u32>,
    /// `exit`.
    pub exit: Option<u32>,
    /// `bareflow_entry`, which all reasons go to.
    pub entry: Option<u32>,
}

impl Exports {
    /// Notes an export, if the entry calls it.
    pub(super) fn add(&mut self, name: &str, function: u32) {
        let place = match name {
            "run" => &mut self.run,
            "init" => &mut self.init,
            "exit" => &mut self.exit,
            "bareflow_entry" => &mut self.entry,
            _ => return,
        };
        *place = Some(function);
    }

    /// Checks that the entry can call them; `type_of` returns a function's type.
    ///
    /// # Errors
    /// The reason for which it can't.
    pub(super) fn check<'module>(self, type_of: impl Fn(u32) -> Option<&'module FuncType>) -> Result<(), Refusal> {
        let Exports { run, init, exit, entry } = self;
        let named = [("run", run, 0), ("init", init, 0), ("exit", exit, 0), ("bareflow_entry", entry, 1)];
        for (name, function, parameters) in named {
            let Some(found) = function.and_then(&type_of) else { continue };
            let i32s = [ValueType::I32];
            if !is_of(found, i32s.get(..parameters).unwrap_or_default(), &i32s) {
                let expected = if parameters == 0 { "[] -> [i32]" } else { "[i32] -> [i32]" };
                return Err(Refusal::unsupported(format!("the export `{name}` has another type, expected {expected}")));
            }
        }
        if entry.is_some() && (run.is_some() || init.is_some() || exit.is_some()) {
            return Err(Refusal::unsupported(
                "the module exports `bareflow_entry` besides `run`, `init` or `exit`, expected either",
            ));
        }
        if entry.is_none() && run.is_none() {
            return Err(Refusal::unsupported("the module exports no function `run`, expected [] -> [i32]"));
        }
        Ok(())
    }
}
