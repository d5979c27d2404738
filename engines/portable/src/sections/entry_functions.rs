//! The exported functions that the entry calls.

use alloc::format;

use bareflow_abi::header::{FLAG_EXIT, FLAG_INIT};
use bareflow_abi::portable::{ENTRIES, ENTRY, RUN};
use wasmparser::ValType;

use super::Sections;
use crate::refusal::Refusal;

/// The functions that a module's entry calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryFunctions {
    /// One for all reasons.
    One(u32),
    /// One for each reason.
    Each {
        /// `run`.
        run: u32,
        /// `init`.
        init: Option<u32>,
        /// `exit`.
        exit: Option<u32>,
    },
}

impl EntryFunctions {
    /// Finds the functions among the exports.
    ///
    /// # Errors
    /// If one has another type, or there are none or both kinds.
    pub fn of(sections: &Sections<'_>) -> Result<EntryFunctions, Refusal> {
        let [run, init, exit] = ENTRIES.map(|(name, _)| find(sections, name, &[]));
        let (run, init, exit) = (run?, init?, exit?);
        match (find(sections, ENTRY, &[ValType::I32])?, run) {
            (Some(_), _) if [run, init, exit].iter().any(Option::is_some) => {
                Err(Refusal::invalid(format!("there are exports {ENTRY} and run, init or exit; export either")))
            }
            (Some(entry), _) => Ok(EntryFunctions::One(entry)),
            (None, Some(run)) => Ok(EntryFunctions::Each { run, init, exit }),
            (None, None) => Err(Refusal::invalid(format!(
                "there is no export {RUN} or {ENTRY}; export a function {RUN} of type () -> (i32)"
            ))),
        }
    }

    /// Returns the flags of a header that they stand for: those of one function are for its module to say.
    #[must_use]
    pub fn flags(self) -> u32 {
        match self {
            EntryFunctions::One(_) => 0,
            EntryFunctions::Each { init, exit, .. } => {
                let flag = |function: Option<u32>, flag| if function.is_some() { flag } else { 0 };
                flag(init, FLAG_INIT) | flag(exit, FLAG_EXIT)
            }
        }
    }
}

/// Returns the number of an exported function.
fn find(sections: &Sections<'_>, name: &str, parameters: &[ValType]) -> Result<Option<u32>, Refusal> {
    let Some(number) = sections.exported(name) else { return Ok(None) };
    match sections.type_of(number) {
        Some(found) if found.params() == parameters && found.results() == [ValType::I32] => Ok(Some(number)),
        found => {
            let found = found.map_or_else(|| "no type".into(), |found| format!("the type {found}"));
            let parameters = if parameters.is_empty() { "()" } else { "(i32)" };
            Err(Refusal::invalid(format!("the export {name} has {found}, expected {parameters} -> (i32)")))
        }
    }
}
