//! The providers of the embedder.

use core::cell::{Cell, OnceCell};

use allocator_api2::alloc::Allocator;
use allocator_api2::boxed::Box;
use bareflow_abi::interface::bindings::Method;
use bareflow_abi::interface::{CallError, Frame, Reply};

use super::stable_vec::StableVec;
use crate::name::Name;
use crate::platform::Platform;

/// An interface that the embedder provides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exported {
    /// The interface's name.
    pub interface: &'static str,
    /// The version: major, minor.
    pub version: (u16, u16),
    /// The methods.
    pub methods: &'static [Method],
}

/// A provider of the embedder, without its type.
pub(crate) trait Provide {
    /// Calls a method, whose shape the frame has.
    fn call(&self, method: u32, frame: &mut Frame<'_>) -> Reply;
}

/// A provider of the embedder.
pub(crate) struct Provider<A: Allocator> {
    /// The name by which modules ask for it.
    pub name: Name,
    /// The interface that it exports.
    pub exported: Exported,
    /// The provider itself.
    pub provider: Box<dyn Provide + Send, A>,
    /// Whether a call of it has panicked. What it holds may be half done, so it is out of use.
    pub has_panicked: Cell<bool>,
}

impl<A: Allocator> Provider<A> {
    /// Calls a method, whose shape the frame has.
    pub fn call<P: Platform>(&self, platform: &P, method: u32, frame: &mut Frame<'_>) -> Reply {
        let mut reply = CallError::Faulted.into();
        if !self.has_panicked.get()
            && !platform.call_provider(&self.name, &mut || reply = self.provider.call(method, frame))
        {
            self.has_panicked.set(true);
        }
        reply
    }
}

/// All providers of the embedder. None is ever removed, so that calls need no lock.
pub(crate) struct Embedder<A: Allocator>(StableVec<OnceCell<Provider<A>>, A>);

impl<A: Allocator + Clone> Embedder<A> {
    /// Creates an empty list.
    pub const fn new() -> Embedder<A> {
        Embedder(StableVec::new())
    }

    /// Returns the provider with this number.
    #[inline]
    pub fn get(&self, number: u32) -> Option<&Provider<A>> {
        self.0.get(number as usize)?.get()
    }

    /// Iterates over all providers, with their numbers.
    pub fn all(&self) -> impl Iterator<Item = (u32, &Provider<A>)> {
        (0..self.0.len()).filter_map(|number| Some((number, self.get(number)?)))
    }

    /// Adds a provider. Returns whether there was memory for it.
    pub fn add(&self, provider: Provider<A>, allocator: &A) -> bool {
        self.0.add(allocator, |_| OnceCell::new()).is_some_and(|slot| slot.set(provider).is_ok())
    }
}
