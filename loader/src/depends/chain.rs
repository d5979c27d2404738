//! The way on which a module would come to call itself.

use core::fmt;

use allocator_api2::alloc::Allocator;
use allocator_api2::vec::Vec;
use bareflow_abi::depends::Dependencies;

use super::Candidate;
use crate::error::LoadError;
use crate::manager::ModuleManager;
use crate::module::ModuleId;
use crate::name::Name;
use crate::platform::Platform;
use crate::raw::RawModule;
use crate::valid::{Capabilities, ValidModule};

/// The modules on that way, each of which calls the next one, and the last one the first: `a -> b -> a`.
#[derive(Clone, Debug)]
pub struct Chain<A: Allocator> {
    first: Name,
    /// The others, the last one first.
    others: Vec<Name, A>,
}

impl<A: Allocator> Chain<A> {
    /// The one that the first one calls.
    pub(super) fn second(&self) -> Name {
        // A list that names its own module is refused long before.
        self.others.last().copied().unwrap_or(self.first)
    }
}

impl<A: Allocator> fmt::Display for Chain<A> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.first)?;
        self.others.iter().rev().chain([&self.first]).try_for_each(|name| write!(out, " -> {name}"))
    }
}

/// A module that can be reached, and by way of which of those found before.
struct Reached {
    id: ModuleId,
    by: Option<usize>,
}

impl<P: Platform> ModuleManager<P> {
    /// The way on which the module in `blob` would come to call itself if it were loaded: what to show
    /// along with [`LoadError::DependencyCycle`].
    #[must_use]
    pub fn dependency_cycle(&self, blob: &[u8]) -> Option<Chain<P::Tables>> {
        let valid = ValidModule::validate(RawModule::parse(blob).ok()?, Capabilities::of(&self.platform)).ok()?;
        // In the place of the old one, or beside it.
        let from = self.active(&valid.name());
        let chain = |from| self.chain(&Candidate::of(&valid), from).ok().flatten();
        chain(from).or_else(|| chain(None))
    }

    /// The shortest way from `new` back to it, by any versions that might be called; the one at `from` will be gone then.
    pub(super) fn chain(
        &self,
        new: &Candidate<'_>,
        from: Option<ModuleId>,
    ) -> Result<Option<Chain<P::Tables>>, LoadError> {
        let mut reached = Vec::new_in(self.platform.tables());
        if self.reach(&mut reached, new.depends, None, new, from)? {
            return self.way(&reached, None, new);
        }
        let mut next = 0;
        while let Some(id) = reached.get(next).map(|reached| reached.id) {
            let Some(module) = self.get(id) else { break };
            if self.reach(&mut reached, module.metadata.depends(), Some(next), new, from)? {
                return self.way(&reached, Some(next), new);
            }
            next += 1;
        }
        Ok(None)
    }

    /// Adds what a list of dependencies leads to. Says whether that is `new` itself.
    fn reach(
        &self,
        reached: &mut Vec<Reached, P::Tables>,
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
                let known = Some(id) == from || reached.iter().any(|reached| reached.id == id);
                if !known && self.admitted(&needed, id) {
                    reached.try_reserve(1).map_err(|_| LoadError::NoMemory)?;
                    reached.push(Reached { id, by });
                }
            }
        }
        Ok(false)
    }

    /// The names from `new` to the one at `last`.
    fn way(
        &self,
        reached: &[Reached],
        last: Option<usize>,
        new: &Candidate<'_>,
    ) -> Result<Option<Chain<P::Tables>>, LoadError> {
        let mut others = Vec::new_in(self.platform.tables());
        let mut place = last;
        while let Some(Reached { id, by }) = place.and_then(|place| reached.get(place)) {
            others.try_reserve(1).map_err(|_| LoadError::NoMemory)?;
            others.extend(self.get(*id).map(|module| module.name));
            place = *by;
        }
        Ok(Some(Chain { first: new.name, others }))
    }
}
