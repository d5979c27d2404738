//! Functions and methods that clients name.

use alloc::string::String;
use core::fmt;

use bareflow_loader::{Callee, FunctionId, ModuleId, ModuleManager, Name, Platform, Printable};
use bareflow_protocol::control::{Refusal, RefusalCode};
use bareflow_suite::fallible::NoMemory;
use bareflow_suite::{error_text, text};

use crate::requested_options::bounded;
use crate::{Server, ServerEnvironment};

impl<P: Platform, S: ServerEnvironment> Server<'_, P, S> {
    /// Returns what a client's selector names: `name` or `name@version`, or `name[.interface].function[@version]`.
    pub(crate) fn callee(&self, selector: &str) -> Result<Callee, Refusal> {
        let selector = bounded(selector)?;
        let (path, version) = selector.split_at(selector.find('@').unwrap_or(selector.len()));
        let Some((module, function)) = path.split_once('.') else { return Ok(Callee::Run(self.select(selector)?)) };
        let id = self.select(&text!("{module}{version}")?)?;
        self.manager.function_of(id, function).map(Callee::Function).map_err(|error| {
            let (selector, functions) = (Printable(selector.as_bytes()), FunctionNames(&self.manager, id));
            Refusal::new(RefusalCode::NoFunction, error_text!("{selector}: {error} ({functions})"))
        })
    }

    /// Returns what a client's selector names, unless it is a method, which has neither input nor output.
    pub(crate) fn callee_with_input(&self, selector: &str) -> Result<Callee, Refusal> {
        match self.callee(selector)? {
            Callee::Function(FunctionId { shape: Some(_), .. }) => {
                let selector = Printable(selector.as_bytes());
                Err(error_text!("{selector}: a method, expected a module or a plain function").into())
            }
            callee => Ok(callee),
        }
    }

    /// Returns a callee's name, whose module is named `module`: `module` or `module.function`.
    pub(crate) fn callee_name(&self, callee: Callee, module: &Name) -> Result<String, NoMemory> {
        let Callee::Function(function) = callee else { return text!("{module}") };
        let mut found = text!("{module}.?");
        self.manager.for_each_function(function.module, |number, _, name| {
            if number == function.number && !name.is_empty() {
                found = text!("{module}.{name}");
            }
        });
        found
    }
}

/// The functions that a module exports, as text.
pub(crate) struct FunctionNames<'manager, P: Platform>(pub &'manager ModuleManager<P>, pub ModuleId);

impl<P: Platform> fmt::Display for FunctionNames<'_, P> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut result, mut before) = (out.write_str("it exports"), " ");
        self.0.for_each_function(self.1, |_, interface, name| {
            let dot = if interface.is_empty() { "" } else { "." };
            // The signatures may have been stripped.
            let name = if name.is_empty() { "?" } else { name };
            result = result.and_then(|()| write!(out, "{before}{interface}{dot}{name}"));
            before = ", ";
        });
        result?;
        if before == " " { out.write_str(" none") } else { Ok(()) }
    }
}
