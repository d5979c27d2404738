//! Parameters: the values that a load sets, checked against the list in the blob, and handed to the module.

use core::cell::Ref;

use allocator_api2::alloc::Allocator;
use allocator_api2::vec::Vec;
use bareflow_abi::Reason;
use bareflow_abi::parameters::{Parameter, Parameters, Value};
use bareflow_abi::record::PARAMETERS;

use crate::error::LoadError;
use crate::format::raw::RawModule;
use crate::format::records::first_record;
use crate::manager::ModuleManager;
use crate::module::placed::PlacedModule;
use crate::module::{Module, ModuleId};
use crate::name::{Name, Version};
use crate::platform::{CallFailure, Platform};
use crate::policy::LoadSettings;
use crate::policy::assignment::{Assignment, BadAssignment, Excerpt, Expected};

/// Returns the parameters that may be set for a module, as far as the list can be read.
#[must_use]
pub fn parameters_of<'blob>(raw: &RawModule<'blob>) -> Parameters<'blob> {
    Parameters::new(first_record(raw.records, PARAMETERS))
}

/// The parameters that a load sets, as bytes for the module and as text.
pub(crate) struct Assigned<A: Allocator> {
    bytes: Vec<u8, A>,
    /// The size of the values of all parameters, in bytes; the lines that set some follow.
    values: usize,
}

impl<A: Allocator> Assigned<A> {
    /// Returns the values of all parameters, as the module takes them; empty if none is set.
    pub(crate) fn values(&self) -> &[u8] {
        self.bytes.get(..self.values).unwrap_or_default()
    }

    /// Returns the lines that set parameters.
    pub(crate) fn lines(&self) -> &[u8] {
        self.bytes.get(self.values..).unwrap_or_default()
    }
}

impl<P: Platform> ModuleManager<P> {
    /// Returns what `settings` set for the module in `blob`, whose parameters are in `list`, besides what was set for the
    /// active module of its name.
    ///
    /// # Errors
    /// [`LoadError::Parameter`], [`LoadError::NoMemory`].
    pub(crate) fn assign(
        &self,
        blob: &[u8],
        list: &[u8],
        settings: LoadSettings<'_>,
    ) -> Result<Assigned<P::Alloc>, LoadError> {
        let given = settings.parameters.map_or("", |lines| lines);
        let name = Name::valid(*RawModule::parse(blob)?.name());
        let active = self.active(&name).and_then(|id| self.get(id));
        let old = active.as_deref().map_or("", |active| active.metadata.lines());
        let lines = Lines { list, module: name.as_str(), given, old };
        lines.check(active.as_deref().map(|active| active.version))?;
        let mut assigned = Assigned { bytes: Vec::new_in(self.platform.allocator()), values: 0 };
        if lines.set().next().is_none() {
            return Ok(assigned);
        }
        let values = Parameters::new(lines.list).map(|parameter| usize::from(parameter.size)).sum::<usize>();
        let text = lines.set().map(|(_, line)| line.line.len() + 1).sum::<usize>();
        assigned.bytes.try_reserve_exact(values + text).map_err(|_| LoadError::NoMemory)?;
        let Assigned { bytes, values } = &mut assigned;
        for parameter in Parameters::new(lines.list) {
            let value = lines.line(&parameter).and_then(|line| Value::parse(parameter.kind, line.value?));
            value.unwrap_or(parameter.default).encode(parameter.size, &mut |part| bytes.extend_from_slice(part));
        }
        *values = bytes.len();
        for (_, line) in lines.set() {
            bytes.extend_from_slice(line.line.as_bytes());
            bytes.push(b'\n');
        }
        Ok(assigned)
    }

    /// Checks that no parameter was set for the module `old`, which `new` replaces, that has none.
    #[cold]
    pub(crate) fn check_dropped(&self, old: &Module<P>, new: &Module<P>) -> Result<(), BadAssignment> {
        Lines { list: &[], module: new.name.as_str(), given: "", old: old.metadata.lines() }.check(Some(old.version))
    }

    /// Hands the parameters that were set to `module` in the image `placed`.
    pub(crate) fn call_parameters(&self, module: &Module<P>, placed: &PlacedModule<P::Image>) -> Result<(), LoadError> {
        let values = module.metadata.values();
        if values.is_empty() {
            return Ok(());
        }
        let call = module.call(placed, Reason::Parameters, values, self.timing);
        match self.call_platform_slow(&call, &module.metadata, &mut []) {
            Ok(returned) if returned.outcome.result == 0 => Ok(()),
            Ok(returned) => Err(LoadError::ParametersFailed { result: returned.outcome.result }),
            Err(CallFailure::Fault(fault)) => Err(LoadError::ParametersFaulted(fault)),
            Err(CallFailure::NoMemory) => Err(LoadError::NoMemoryForInit),
        }
    }

    /// Returns the parameters that were set for a module, one [`Assignment`] on each line.
    #[must_use]
    pub fn parameters(&self, id: ModuleId) -> Option<Ref<'_, str>> {
        Some(Ref::map(self.get(id)?, |module| module.metadata.lines()))
    }
}

/// The list of a module's parameters, and the lines that set some: those of this load, and those of the old module.
struct Lines<'load> {
    list: &'load [u8],
    module: &'load str,
    given: &'load str,
    old: &'load str,
}

impl<'load> Lines<'load> {
    /// Checks all lines against the list; `version` is that of the old module, if there is one.
    fn check(&self, version: Option<Version>) -> Result<(), BadAssignment> {
        for line in Assignment::all(self.given) {
            let line @ Assignment { name, .. } = line?;
            if line.module != self.module {
                continue;
            }
            if self.given().filter(|other| other.name == name).count() > 1 {
                return Err(BadAssignment::Twice { name });
            }
            match (self.parameter(&name), line.value) {
                (Some(parameter), Some(found)) if !is_admitted(&parameter, found) => {
                    let expected = Expected::of(&parameter);
                    return Err(BadAssignment::Value { name, found: Excerpt::new(found), expected });
                }
                // A parameter that no longer exists may be dropped.
                (None, None) if self.old().any(|old| old.name == name) => {}
                (None, _) => return Err(BadAssignment::Unknown { name }),
                (Some(_), _) => {}
            }
        }
        let Some(version) = version else { return Ok(()) };
        for Assignment { name, value, .. } in self.old().filter(|old| !self.given().any(|new| new.name == old.name)) {
            let (parameter, found) = (self.parameter(&name), value.unwrap_or_default());
            if !parameter.is_some_and(|parameter| is_admitted(&parameter, found)) {
                let expected = parameter.as_ref().map(Expected::of);
                return Err(BadAssignment::Inherited { name, found: Excerpt::new(found), version, expected });
            }
        }
        Ok(())
    }

    /// Iterates over the lines of this load for the module, as far as they can be read.
    fn given(&self) -> impl Iterator<Item = Assignment<'load>> {
        Assignment::all(self.given).flatten().filter(|line| line.module == self.module)
    }

    /// Iterates over the lines of the old module.
    fn old(&self) -> impl Iterator<Item = Assignment<'load>> {
        Assignment::all(self.old).flatten()
    }

    #[inline(never)]
    fn parameter(&self, name: &Name) -> Option<Parameter<'load>> {
        Parameters::new(self.list).find(|parameter| parameter.name == name.as_str())
    }

    /// Returns the line that is about the parameter: that of this load, or else the old module's.
    fn line(&self, parameter: &Parameter<'_>) -> Option<Assignment<'load>> {
        let is_about = |line: &Assignment<'_>| line.name.as_str() == parameter.name;
        self.given().find(is_about).or_else(|| self.old().find(is_about))
    }

    /// Iterates over the parameters that get a value, with the lines that have it.
    fn set(&self) -> impl Iterator<Item = (Parameter<'load>, Assignment<'load>)> {
        Parameters::new(self.list)
            .filter_map(|parameter| Some((parameter, self.line(&parameter).filter(|line| line.value.is_some())?)))
    }
}

fn is_admitted(parameter: &Parameter<'_>, text: &str) -> bool {
    Value::parse(parameter.kind, text).is_some_and(|value| parameter.admits(&value))
}

#[cfg(test)]
#[path = "parameters_tests.rs"]
mod tests;
