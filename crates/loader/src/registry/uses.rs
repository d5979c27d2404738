//! The embedder's own uses of modules' interfaces.

use core::cell::{Cell, OnceCell};

use allocator_api2::alloc::Allocator;
use allocator_api2::boxed::Box;

use super::embedder::Exported;
use crate::module::ModuleId;

/// A use of a module's interface, and those behind it in the list.
pub(crate) struct Use<A: Allocator> {
    /// The interface; `None` if the use has ended.
    pub interface: Cell<Option<Exported>>,
    /// The provider.
    pub provider: Cell<Option<ModuleId>>,
    /// The number of the provider's restarts that the embedder knows of.
    pub restarts: Cell<u32>,
    rest: Uses<A>,
}

impl<A: Allocator> Use<A> {
    const fn ended() -> Use<A> {
        Use { interface: Cell::new(None), provider: Cell::new(None), restarts: Cell::new(0), rest: Uses::new() }
    }
}

/// All uses, in order; there are few. One that has ended makes room for the next, so that none ever moves.
pub(crate) struct Uses<A: Allocator>(OnceCell<Box<Use<A>, A>>);

impl<A: Allocator> Uses<A> {
    /// Creates an empty list.
    pub const fn new() -> Uses<A> {
        Uses(OnceCell::new())
    }

    /// Iterates over all uses of a module.
    pub fn of(&self, provider: ModuleId) -> impl Iterator<Item = (&Use<A>, Exported)> {
        let is_of = move |one: &&Use<A>| one.provider.get() == Some(provider);
        self.all().filter(is_of).filter_map(|one| Some((one, one.interface.get()?)))
    }

    /// Adds a use; `None` if there is no memory.
    pub fn add(&self, interface: Exported, provider: ModuleId, restarts: u32, allocator: A) -> Option<&Use<A>> {
        let found = match self.all().find(|one| one.interface.get().is_none()) {
            Some(ended) => ended,
            None => {
                let new = Box::try_new_in(Use::ended(), allocator).ok()?;
                self.all().last().map_or(self, |last| &last.rest).0.get_or_init(|| new)
            }
        };
        found.interface.set(Some(interface));
        found.provider.set(Some(provider));
        found.restarts.set(restarts);
        Some(found)
    }

    fn all(&self) -> impl Iterator<Item = &Use<A>> {
        core::iter::successors(self.0.get(), |one| one.rest.0.get()).map(|one| &**one)
    }
}
