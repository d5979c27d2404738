//! Settings of a load: the values of parameters, checked against the list in the blob and handed to the module, and the
//! providers of imports.

use core::cell::Ref;

use allocator_api2::alloc::Allocator;
use allocator_api2::vec::Vec;
use bareflow_abi::Reason;
use bareflow_abi::interface::bindings::{Entries, Entry};
use bareflow_abi::parameters::{Parameter, Parameters, Value};
use bareflow_abi::record::PARAMETERS;

use crate::error::LoadError;
use crate::format::raw::RawModule;
use crate::format::records::first_record;
use crate::interfaces::bind::is_selector;
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

/// The settings of a load: for the module, as text, and for the loader.
pub(crate) struct Assigned<A: Allocator> {
    bytes: Vec<u8, A>,
    /// The size of the values of all parameters, in bytes; the lines follow.
    values: usize,
    /// The size of the lines, in bytes; the record of the imports and exports follows.
    lines: usize,
}

impl<A: Allocator> Assigned<A> {
    /// Returns the values of all parameters, as the module takes them, empty if none is set; the lines; and the record of
    /// the imports and exports with the providers of this load, empty if it binds none.
    pub(crate) fn parts(&self) -> [&[u8]; 3] {
        let (values, rest) = self.bytes.split_at_checked(self.values).unwrap_or_default();
        let (lines, record) = rest.split_at_checked(self.lines).unwrap_or_default();
        [values, lines, record]
    }
}

impl<P: Platform> ModuleManager<P> {
    /// Returns what `settings` set for the module in `blob`, whose parameters are in `list` and whose imports and exports
    /// are in `bindings`, besides what was set for the active module of its name.
    ///
    /// # Errors
    /// [`LoadError::Parameter`], [`LoadError::NoMemory`].
    pub(crate) fn assign(
        &self,
        blob: &[u8],
        [list, bindings]: [&[u8]; 2],
        settings: LoadSettings<'_>,
    ) -> Result<Assigned<P::Alloc>, LoadError> {
        let given = settings.parameters.map_or("", |lines| lines);
        let name = Name::valid(*RawModule::parse(blob)?.name());
        let active = self.active(&name).and_then(|id| self.get(id));
        let old = active.as_deref().map_or("", |active| active.metadata.lines());
        let mut assigned = Assigned { bytes: Vec::new_in(self.platform.allocator()), values: 0, lines: 0 };
        if given.is_empty() && old.is_empty() {
            return Ok(assigned);
        }
        let lines = Lines { list, imports: Entries::new(bindings), module: name.as_str(), given, old };
        lines.check(active.as_deref().map(|active| active.version))?;
        let sets = lines.set().next().is_some();
        let binds = lines.bound().next().is_some();
        if !sets && !binds {
            return Ok(assigned);
        }
        let text = lines.set().chain(lines.bound()).map(|line| line.line.len() + 1).sum::<usize>();
        let values = Parameters::new(lines.list).map(|parameter| usize::from(parameter.size)).sum::<usize>();
        let providers = lines.bound().map(|line| line.value.unwrap_or_default().len()).sum::<usize>();
        let size = text + if sets { values } else { 0 } + if binds { bindings.len() + providers } else { 0 };
        assigned.bytes.try_reserve_exact(size).map_err(|_| LoadError::NoMemory)?;
        let bytes = &mut assigned.bytes;
        if sets {
            for parameter in Parameters::new(lines.list) {
                let value = lines.value(false, parameter.name).and_then(|text| Value::parse(parameter.kind, text));
                value.unwrap_or(parameter.default).encode(parameter.size, &mut |part| bytes.extend_from_slice(part));
            }
        }
        assigned.values = bytes.len();
        for line in lines.set().chain(lines.bound()) {
            bytes.extend_from_slice(line.line.as_bytes());
            bytes.push(b'\n');
        }
        assigned.lines = bytes.len() - assigned.values;
        if binds {
            for entry in lines.imports {
                let provider = lines.value(true, entry.name).unwrap_or(entry.provider);
                entry.encode_with(provider, &mut |part| bytes.extend_from_slice(part));
            }
        }
        Ok(assigned)
    }

    /// Checks that nothing was set for the module `old`, which `new` replaces, that has no parameters and imports.
    #[cold]
    pub(crate) fn check_dropped(&self, old: &Module<P>, new: &Module<P>) -> Result<(), BadAssignment> {
        let (module, old_lines) = (new.name.as_str(), old.metadata.lines());
        let lines = Lines { list: &[], imports: Entries::new(&[]), module, given: "", old: old_lines };
        lines.check(Some(old.version))
    }

    /// Hands the parameters that were set to `module` in the image `placed`.
    pub(crate) fn call_parameters(&self, module: &Module<P>, placed: &PlacedModule<P::Image>) -> Result<(), LoadError> {
        let values = module.metadata.values();
        if values.is_empty() {
            return Ok(());
        }
        match self.call_unprofiled(module, placed, Reason::Parameters, values, &mut []) {
            Ok(outcome) if outcome.result == 0 => Ok(()),
            Ok(outcome) => Err(LoadError::ParametersFailed { result: outcome.result }),
            Err(CallFailure::Fault(fault)) => Err(LoadError::ParametersFaulted(fault)),
            Err(CallFailure::NoMemory) => Err(LoadError::NoMemoryForInit),
        }
    }

    /// Returns what was set for a module, its parameters and the providers of its imports: one [`Assignment`] on each line.
    #[must_use]
    pub fn parameters(&self, id: ModuleId) -> Option<Ref<'_, str>> {
        Some(Ref::map(self.get(id)?, |module| module.metadata.lines()))
    }
}

/// The parameters and imports of a module, and the lines that set some: those of this load, and those of the old module.
struct Lines<'load> {
    list: &'load [u8],
    imports: Entries<'load>,
    module: &'load str,
    given: &'load str,
    old: &'load str,
}

impl<'load> Lines<'load> {
    /// Checks all lines against the lists; `version` is that of the old module, if there is one.
    fn check(&self, version: Option<Version>) -> Result<(), BadAssignment> {
        for line in Assignment::all(self.given) {
            let line @ Assignment { name, .. } = line?;
            if line.module != self.module {
                continue;
            }
            if self.given().filter(|other| is_about(other, &line)).count() > 1 {
                return Err(BadAssignment::Twice { name });
            }
            // What no longer exists may be dropped.
            let drops = line.value.is_none() && self.old().any(|old| is_about(&old, &line));
            if line.binds {
                self.check_provider(&line, drops)?;
            } else {
                self.check_value(&line, drops)?;
            }
        }
        let Some(version) = version else { return Ok(()) };
        for line in self.old().filter(|old| !self.given().any(|new| is_about(&new, old))) {
            let (name, found) = (line.name, Excerpt::new(line.value.unwrap_or_default()));
            if line.binds {
                self.import(&name).ok_or(BadAssignment::InheritedImport { name, found, version })?;
                continue;
            }
            let (parameter, value) = (self.parameter(&name), line.value.unwrap_or_default());
            if !parameter.is_some_and(|parameter| is_admitted(&parameter, value)) {
                let expected = parameter.as_ref().map(Expected::of);
                return Err(BadAssignment::Inherited { name, found, version, expected });
            }
        }
        Ok(())
    }

    /// Checks a line that sets a parameter; `drops`: the parameter need not exist.
    fn check_value(&self, line: &Assignment<'_>, drops: bool) -> Result<(), BadAssignment> {
        let name = line.name;
        match (self.parameter(&name), line.value) {
            (Some(parameter), Some(found)) if !is_admitted(&parameter, found) => {
                let expected = Expected::of(&parameter);
                Err(BadAssignment::Value { name, found: Excerpt::new(found), expected })
            }
            (None, _) if !drops => Err(BadAssignment::Unknown { name }),
            _ => Ok(()),
        }
    }

    /// Checks a line that binds an import; `drops`: the import need not exist.
    fn check_provider(&self, line: &Assignment<'_>, drops: bool) -> Result<(), BadAssignment> {
        let name = line.name;
        if self.import(&name).is_none() && !drops {
            return Err(BadAssignment::UnknownImport { name });
        }
        match line.value {
            Some(found) if !is_selector(found) => Err(BadAssignment::Selector { name, found: Excerpt::new(found) }),
            _ => Ok(()),
        }
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

    fn import(&self, name: &Name) -> Option<Entry<'load>> {
        self.imports.imports().find(|import| import.name == name.as_str())
    }

    /// Returns the line about a parameter, or about an import, that gives it a value: that of this load, or else the old
    /// module's.
    fn line(&self, binds: bool, name: &str) -> Option<Assignment<'load>> {
        let is_about = |line: &Assignment<'_>| line.binds == binds && line.name.as_str() == name;
        let line = self.given().find(is_about).or_else(|| self.old().find(is_about));
        line.filter(|line| line.value.is_some())
    }

    fn value(&self, binds: bool, name: &str) -> Option<&'load str> {
        self.line(binds, name)?.value
    }

    /// Iterates over the lines of the parameters that get a value.
    fn set(&self) -> impl Iterator<Item = Assignment<'load>> {
        Parameters::new(self.list).filter_map(|parameter| self.line(false, parameter.name))
    }

    /// Iterates over the lines of the imports that get a provider.
    fn bound(&self) -> impl Iterator<Item = Assignment<'load>> {
        self.imports.imports().filter_map(|import| self.line(true, import.name))
    }
}

/// Returns whether two lines are about the same parameter, or the same import.
fn is_about(one: &Assignment<'_>, other: &Assignment<'_>) -> bool {
    one.binds == other.binds && one.name == other.name
}

fn is_admitted(parameter: &Parameter<'_>, text: &str) -> bool {
    Value::parse(parameter.kind, text).is_some_and(|value| parameter.admits(&value))
}

#[cfg(test)]
#[path = "parameters_tests.rs"]
mod tests;
