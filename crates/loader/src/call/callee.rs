//! The code of a module that a caller names: its `run`, or a function that it exports.

use bareflow_abi::Reason;
use bareflow_abi::interface::FIRST_FUNCTION;

use crate::interfaces::FunctionId;
use crate::module::{Failure, Module, ModuleId};
use crate::platform::Platform;

/// The code of a module that is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Callee {
    /// A module's `run`.
    Run(ModuleId),
    /// A function or method.
    Function(FunctionId),
}

impl Callee {
    /// Returns the module.
    #[must_use]
    pub const fn module(self) -> ModuleId {
        match self {
            Callee::Run(id) => id,
            Callee::Function(function) => function.module,
        }
    }

    /// Returns the reason of a call.
    pub(crate) const fn reason(self) -> u32 {
        match self {
            Callee::Run(_) => Reason::Run as u32,
            Callee::Function(function) => FIRST_FUNCTION.wrapping_add(function.number),
        }
    }

    /// Whether `module` has it, and it is called with an input and an output, as methods are not.
    pub(crate) fn is_run_of<P: Platform>(self, module: &Module<P>) -> bool {
        match self {
            Callee::Run(_) => !matches!(module.runnable(), Err(Failure::NoRun)),
            Callee::Function(function) => {
                let found = module.metadata.bindings().function(function.number as usize);
                found.is_some_and(|(export, _)| export.interface.is_empty())
            }
        }
    }
}
