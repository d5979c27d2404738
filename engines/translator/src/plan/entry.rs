//! The functions of the module that the blob's entry calls.

use alloc::format;

use bareflow_abi::header::FLAG_INIT;
use bareflow_portable::description::Description;
use wasmparser::ValType;

use crate::error::Error;
use crate::module::Module;

/// The functions that the entry calls.
#[derive(Clone, Copy)]
pub(crate) enum EntryFunctions {
    /// A function for each reason.
    Each { run: Option<u32>, init: Option<u32>, exit: Option<u32> },
    /// One function of the reason.
    One { entry: u32, wants_init: bool },
}

impl EntryFunctions {
    /// Finds the functions among the exports.
    pub fn new(module: &Module<'_>, description: Option<&Description<'_>>) -> Result<EntryFunctions, Error> {
        let typed = |name: &str, parameters: &[ValType]| {
            let Some(number) = module.exported(name) else { return Ok(None) };
            let found = module.type_of(number);
            if found.params() == parameters && found.results() == [ValType::I32] {
                return Ok(Some(number));
            }
            let parameters = if parameters.is_empty() { "()" } else { "(i32)" };
            Err(Error::invalid(format!("the export {name} has the type {found}, expected {parameters} -> (i32)")))
        };
        let flags = description.map_or(0, |description| description.header.flags);
        let (run, init, exit) = (typed("run", &[])?, typed("init", &[])?, typed("exit", &[])?);
        if let Some(entry) = typed("bareflow_entry", &[ValType::I32])? {
            if [run, init, exit].iter().any(Option::is_some) {
                return Err(Error::invalid("there are exports bareflow_entry and run, init or exit; export either"));
            }
            return Ok(EntryFunctions::One { entry, wants_init: flags & FLAG_INIT != 0 });
        }
        if run.is_none() {
            return Err(Error::invalid(
                "there is no export run or bareflow_entry; export a function run of type () -> (i32)",
            ));
        }
        Ok(EntryFunctions::Each { run, init, exit })
    }
}
