//! The interfaces that the embedder provides.

use core::cell::{OnceCell, RefCell};
use core::marker::PhantomData;

use allocator_api2::alloc::Allocator;
use allocator_api2::boxed::Box;
use bareflow_abi::interface::bindings::Method;
use bareflow_abi::interface::{CallError, Frame, Interface, Reply, Serve, serve, serve_shared};

use crate::error::ProvideError;
use crate::manager::ModuleManager;
use crate::name::Name;
use crate::platform::Platform;
use crate::registry::stable_vec::StableVec;

/// An interface that the embedder provides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exported {
    /// The interface's name.
    pub interface: &'static str,
    /// Its version: major, minor.
    pub version: (u16, u16),
    /// Its methods.
    pub methods: &'static [Method],
}

impl Exported {
    fn of<I: Interface + ?Sized>() -> Exported {
        Exported { interface: I::NAME, version: I::VERSION, methods: I::METHODS }
    }
}

/// A provider of the embedder, without its type.
pub(crate) trait Provide {
    /// Calls a method, whose shape the frame has.
    fn call(&self, method: u32, frame: &mut Frame<'_>) -> Reply;
}

/// A provider with its type.
struct Typed<I: ?Sized, T> {
    /// Lent to one call of a method that takes `&mut self`, or to any number of others.
    provider: RefCell<T>,
    interface: PhantomData<fn() -> *const I>,
}

impl<I: Serve<T> + ?Sized, T> Provide for Typed<I, T> {
    fn call(&self, method: u32, frame: &mut Frame<'_>) -> Reply {
        if frame.shape().is_exclusive() {
            match self.provider.try_borrow_mut() {
                Ok(mut provider) => serve::<I, T>(&mut provider, method, frame),
                Err(_) => CallError::Busy.into(),
            }
        } else {
            match self.provider.try_borrow() {
                Ok(provider) => serve_shared::<I, T>(&provider, method, frame),
                Err(_) => CallError::Busy.into(),
            }
        }
    }
}

impl<P: Platform> ModuleManager<P> {
    /// Provides the interface `I` to modules, by `provider` and under a name: `manager.provide::<dyn Files, _>("disk", ..)`.
    ///
    /// It stays for as long as the manager. A method that takes `&mut self` is called once at a time: a second call that
    /// begins meanwhile is [`Busy`](CallError::Busy). Its code runs with the embedder's own privileges.
    ///
    /// # Errors
    /// The name is none, or taken, or there is no memory.
    pub fn provide<I, T>(&self, name: &str, provider: T) -> Result<(), ProvideError>
    where
        I: Serve<T> + ?Sized + 'static,
        T: 'static,
    {
        let name = Name::new(name).ok_or(ProvideError::Name)?;
        let exported = Exported::of::<I>();
        if self.embedder.all().any(|(_, other)| other.name == name && other.exported.interface == exported.interface) {
            return Err(ProvideError::Taken);
        }
        let allocator = self.platform.allocator();
        let typed = Typed::<I, T> { provider: RefCell::new(provider), interface: PhantomData };
        let typed = Box::try_new_in(typed, allocator.clone()).map_err(|_| ProvideError::NoMemory)?;
        let provider: Box<dyn Provide, P::Alloc> = allocator_api2::unsize_box!(typed);
        match self.embedder.add(Provider { name, exported, provider }, &allocator) {
            true => Ok(()),
            false => Err(ProvideError::NoMemory),
        }
    }
}

/// A provider of the embedder.
pub(crate) struct Provider<A: Allocator> {
    /// The name by which modules ask for it.
    pub name: Name,
    /// What it exports.
    pub exported: Exported,
    /// What is called.
    pub provider: Box<dyn Provide, A>,
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
