//! The search for a cycle of calls by which a module would call itself.

use core::fmt;

use allocator_api2::alloc::Allocator;
use allocator_api2::vec::Vec;
use bareflow_abi::depends::Dependencies;

use super::Candidate;
use crate::error::LoadError;
use crate::format::raw::RawModule;
use crate::format::valid::{Capabilities, ValidModule};
use crate::manager::ModuleManager;
use crate::module::interfaces::ProviderId;
use crate::module::{Module, ModuleId};
use crate::name::Name;
use crate::platform::Platform;

/// The modules on a cycle, each of which calls the next; the last one calls the first: `a -> b -> a`.
#[derive(Clone, Debug)]
pub struct DependencyCycle<A: Allocator> {
    first: Name,
    /// The other modules, the last one first.
    others: Vec<Name, A>,
}

impl<A: Allocator> DependencyCycle<A> {
    /// Returns the module that the first one calls.
    pub(super) fn second(&self) -> Name {
        // A list that names its own module is refused earlier, so `others` is not empty.
        self.others.last().copied().unwrap_or(self.first)
    }
}

impl<A: Allocator> fmt::Display for DependencyCycle<A> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.first)?;
        self.others.iter().rev().chain([&self.first]).try_for_each(|name| write!(out, " -> {name}"))
    }
}

/// A module that is reachable by calls, with the index of the visited module that calls it.
struct Visited {
    id: ModuleId,
    by: Option<usize>,
}

/// Adds a module, unless it was visited before.
fn add<A: Allocator>(visited: &mut Vec<Visited, A>, id: ModuleId, by: Option<usize>) -> Result<(), LoadError> {
    if visited.iter().any(|visited| visited.id == id) {
        return Ok(());
    }
    visited.try_reserve(1).map_err(|_| LoadError::NoMemory)?;
    visited.push(Visited { id, by });
    Ok(())
}

/// Adds the modules that a module's imports are bound to. Returns whether `from` is one of them.
fn visit_imports<P: Platform>(
    visited: &mut Vec<Visited, P::Alloc>,
    module: &Module<P>,
    by: usize,
    from: Option<ModuleId>,
) -> Result<bool, LoadError> {
    for import in module.metadata.interfaces().into_iter().flat_map(|interfaces| &interfaces.imports) {
        if let Some(ProviderId::Module(id)) = import.provider.get() {
            if Some(id) == from {
                return Ok(true);
            }
            add(visited, id, Some(by))?;
        }
    }
    Ok(false)
}

impl<P: Platform> ModuleManager<P> {
    /// Returns the cycle that the module in `blob` would close if it were loaded.
    ///
    /// It is shown along with [`LoadError::DependencyCycle`].
    #[must_use]
    pub fn dependency_cycle(&self, blob: &[u8]) -> Option<DependencyCycle<P::Alloc>> {
        let valid = ValidModule::validate(RawModule::parse(blob).ok()?, Capabilities::of(&self.platform)).ok()?;
        // It might replace the active module, or be loaded beside it.
        let from = self.active(&valid.name());
        let find = |from| self.find_cycle(&Candidate::of(&valid), from).ok().flatten();
        find(from).or_else(|| find(None))
    }

    /// Returns the shortest cycle from `new` back to itself, by any versions that might be called.
    ///
    /// The module `from`, which `new` replaces, is left out.
    pub(super) fn find_cycle(
        &self,
        new: &Candidate<'_>,
        from: Option<ModuleId>,
    ) -> Result<Option<DependencyCycle<P::Alloc>>, LoadError> {
        let mut visited = Vec::new_in(self.platform.allocator());
        if self.visit(&mut visited, new.depends, None, new, from)? {
            return self.cycle_from(&visited, None, new);
        }
        for import in new.bindings.imports() {
            // An import without a provider is refused when it is bound.
            if let Ok(ProviderId::Module(id)) = self.find_provider(&import, from) {
                add(&mut visited, id, None)?;
            }
        }
        let mut next = 0;
        while let Some(id) = visited.get(next).map(|visited| visited.id) {
            let Some(module) = self.get(id) else { break };
            if self.visit(&mut visited, module.metadata.depends(), Some(next), new, from)?
                || visit_imports(&mut visited, &module, next, from)?
            {
                return self.cycle_from(&visited, Some(next), new);
            }
            next += 1;
        }
        Ok(None)
    }

    /// Adds the modules that a dependency list leads to. Returns whether `new` is one of them.
    fn visit(
        &self,
        visited: &mut Vec<Visited, P::Alloc>,
        depends: &[u8],
        by: Option<usize>,
        new: &Candidate<'_>,
        from: Option<ModuleId>,
    ) -> Result<bool, LoadError> {
        for needed in Dependencies::new(depends) {
            if needed.name == new.name.as_str() && needed.admits(new.version.parts()) {
                return Ok(true);
            }
            for id in self.versions_of(needed.name) {
                if Some(id) != from && self.admitted(&needed, id) {
                    add(visited, id, by)?;
                }
            }
        }
        Ok(false)
    }

    /// Returns the cycle from `new` to the visited module at `last`.
    fn cycle_from(
        &self,
        visited: &[Visited],
        last: Option<usize>,
        new: &Candidate<'_>,
    ) -> Result<Option<DependencyCycle<P::Alloc>>, LoadError> {
        let mut others = Vec::new_in(self.platform.allocator());
        let mut at = last;
        while let Some(Visited { id, by }) = at.and_then(|at| visited.get(at)) {
            others.try_reserve(1).map_err(|_| LoadError::NoMemory)?;
            others.extend(self.get(*id).map(|module| module.name));
            at = *by;
        }
        Ok(Some(DependencyCycle { first: new.name, others }))
    }
}
