//! The names of the functions and imports of modules, by their numbers.

use std::collections::HashMap;

use bareflow_abi::Reason;
use bareflow_abi::interface::FIRST_FUNCTION;
use bareflow_protocol::control::Interfaces;

use crate::interfaces::exports::{self, Interface};

/// The names in the loaded modules.
#[derive(Debug, Default)]
pub(super) struct Names(HashMap<String, Module>);

/// The names in a module.
#[derive(Debug)]
struct Module {
    functions: Vec<Option<String>>,
    imports: Vec<Interface>,
}

impl Names {
    /// Returns the names in modules; those in the active version of each.
    pub fn new(found: &[Interfaces]) -> Names {
        let mut names = Names::default();
        let (active, others): (Vec<_>, Vec<_>) = found.iter().partition(|module| module.active);
        for module in others.into_iter().chain(active) {
            let (imports, exports): (Vec<_>, Vec<_>) =
                exports::read(&module.bindings, &module.signatures).into_iter().partition(|one| one.import.is_some());
            let methods = |export: &Interface| -> Vec<_> {
                (0..export.methods.len()).map(|index| export.method_name(index).map(str::to_owned)).collect()
            };
            let functions = exports.iter().flat_map(methods).collect();
            names.0.insert(module.name.clone(), Module { functions, imports });
        }
        names
    }

    /// Returns the name of a call: the module's, and what is called in it unless that is its `run`.
    pub fn call(&self, module: &str, reason: u32) -> String {
        match reason.checked_sub(FIRST_FUNCTION) {
            Some(number) => match self.0.get(module).and_then(|names| names.functions.get(number as usize)) {
                Some(Some(function)) => format!("{module}.{function}"),
                _ => format!("{module}: function {number}"),
            },
            None => match Reason::ALL.into_iter().find(|known| *known as u32 == reason) {
                Some(Reason::Run) => module.to_owned(),
                Some(known) => format!("{module}: {known:?}").to_lowercase(),
                None => format!("{module}: reason {reason}"),
            },
        }
    }

    /// Returns the name of a method of an import: `import.method`.
    pub fn invoke(&self, module: Option<&str>, import: u32, method: u32) -> String {
        let imports = module.and_then(|module| self.0.get(module)).map(|names| &names.imports);
        let Some(interface) = imports.and_then(|imports| imports.get(import as usize)) else {
            return format!("import {import}, method {method}");
        };
        let import = interface.import.as_deref().unwrap_or_default();
        match interface.method_name(method as usize) {
            Some(name) => format!("{import}.{name}"),
            None => format!("{import}: method {method}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_is_unknown_by_its_number() {
        let names = Names::default();
        assert_eq!(
            [0, 1, 9, 256].map(|reason| names.call("sum", reason)),
            ["sum", "sum: init", "sum: reason 9", "sum: function 0"]
        );
        assert_eq!(names.invoke(None, 1, 2), "import 1, method 2");
    }
}
