//! The providers of the embedder.

use core::cell::{Cell, OnceCell};

use allocator_api2::alloc::Allocator;
use allocator_api2::boxed::Box;
use bareflow_abi::interface::bindings::Method;
use bareflow_abi::interface::{CallError, Frame, Interface, Reply};

use crate::name::Name;
use crate::platform::Platform;

/// An interface that the embedder provides or uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exported {
    /// The interface's name.
    pub interface: &'static str,
    /// The version: major, minor.
    pub version: (u16, u16),
    /// The methods.
    pub methods: &'static [Method],
    /// Their signatures as text.
    pub signatures: &'static str,
}

impl Exported {
    /// Returns the interface `I`.
    pub const fn of<I: Interface + ?Sized>() -> Exported {
        Exported { interface: I::NAME, version: I::VERSION, methods: I::METHODS, signatures: I::TEXT }
    }
}

/// A provider of the embedder, without its type.
pub(crate) trait Provide {
    /// Calls a method, whose shape the frame has, for the module with the number `caller`.
    fn call(&self, caller: u32, method: u32, frame: &mut Frame<'_>) -> Reply;

    /// Returns whether a call of it is under way.
    #[cfg(feature = "events")]
    fn is_busy(&self) -> bool;
}

/// A provider of the embedder, and those behind it in the list.
pub(crate) struct Provider<A: Allocator, T: ?Sized = dyn Provide + Send> {
    /// The name by which modules ask for it.
    pub name: Name,
    /// The interface that it exports.
    pub exported: Exported,
    /// Whether a call of it has panicked. What it holds may be half done, so it is out of use.
    has_panicked: Cell<bool>,
    /// Those that took its place, of which the last is in use.
    replacements: Embedder<A>,
    rest: Embedder<A>,
    provider: T,
}

impl<A: Allocator, T> Provider<A, T> {
    /// Creates a provider that is in no list.
    pub fn new(name: Name, exported: Exported, provider: T) -> Provider<A, T> {
        let (replacements, rest) = (Embedder::new(), Embedder::new());
        Provider { name, exported, has_panicked: Cell::new(false), replacements, rest, provider }
    }
}

impl<A: Allocator> Provider<A> {
    /// Calls a method, whose shape the frame has. The user has a number, and knows of a number of replacements.
    #[inline]
    pub fn call<P: Platform>(
        &self,
        platform: &P,
        method: u32,
        frame: &mut Frame<'_>,
        user: (u32, &Cell<u32>),
    ) -> Reply {
        if self.has_panicked.get() {
            return self.call_replacement(platform, method, frame, user);
        }
        let reply = platform.call_provider(&self.name, move || self.provider.call(user.0, method, frame));
        reply.unwrap_or_else(|| {
            self.has_panicked.set(true);
            CallError::Faulted.into()
        })
    }

    /// Calls a method of the last that took its place, unless the user does not know of it yet.
    #[cold]
    #[inline(never)]
    fn call_replacement<P: Platform>(
        &self,
        platform: &P,
        method: u32,
        frame: &mut Frame<'_>,
        user: (u32, &Cell<u32>),
    ) -> Reply {
        let (last, count) = (self.last(), self.replacement_count());
        if last.has_panicked.get() {
            CallError::Faulted.into()
        } else if user.1.replace(count) != count {
            CallError::Restarted.into()
        } else {
            last.call(platform, method, frame, user)
        }
    }

    /// Returns whether a call of the one in use is under way.
    #[cfg(feature = "events")]
    pub fn is_busy(&self) -> bool {
        self.last().provider.is_busy()
    }

    /// Returns the number of those that took its place so far.
    pub fn replacement_count(&self) -> u32 {
        self.replacements.all().count() as u32
    }

    /// Returns the list to which one that exports `exported` can be added in place of this one: it has panicked, and the
    /// methods are the same.
    pub fn replacements(&self, exported: &Exported) -> Option<&Embedder<A>> {
        (self.last().has_panicked.get() && self.exported == *exported).then_some(&self.replacements)
    }

    /// Returns the last that took its place, or itself.
    fn last(&self) -> &Provider<A> {
        self.replacements.all().last().map_or(self, |(_, provider)| provider)
    }
}

/// All providers of the embedder, in order; there are few. None is ever removed, so that calls need no lock.
pub(crate) struct Embedder<A: Allocator>(OnceCell<Box<Provider<A>, A>>);

impl<A: Allocator> Embedder<A> {
    /// Creates an empty list.
    pub const fn new() -> Embedder<A> {
        Embedder(OnceCell::new())
    }

    /// Returns the provider with this number.
    #[inline]
    pub fn get(&self, number: u32) -> Option<&Provider<A>> {
        let mut provider = self.0.get()?;
        for _ in 0..number {
            provider = provider.rest.0.get()?;
        }
        Some(provider)
    }

    /// Iterates over all providers, with their numbers.
    pub fn all(&self) -> impl Iterator<Item = (u32, &Provider<A>)> {
        let providers = core::iter::successors(self.0.get(), |provider| provider.rest.0.get());
        (0..).zip(providers.map(|provider| &**provider))
    }

    /// Adds a provider at the end.
    pub fn add(&self, provider: Box<Provider<A>, A>) {
        let mut end = &self.0;
        while let Some(provider) = end.get() {
            end = &provider.rest.0;
        }
        end.get_or_init(|| provider);
    }
}
