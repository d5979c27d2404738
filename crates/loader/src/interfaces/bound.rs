//! The embedder as a user of a module's interface.

use core::cell::Cell;
use core::marker::PhantomData;

use bareflow_abi::interface::{CallError, Frame, Interface, Reply, Target, client};

use crate::error::{BindError, ImportError};
use crate::manager::ModuleManager;
use crate::module::ModuleId;
use crate::module::interfaces::ProviderId;
use crate::name::Name;
use crate::platform::Platform;

/// The interface `I` of a module, for the embedder.
///
/// It leads to the active module of its name, whatever replaces it, as long as that exports the interface. A call while
/// there is none is [`NotBound`](CallError::NotBound).
pub struct Bound<'manager, P: Platform, I: ?Sized> {
    manager: &'manager ModuleManager<P>,
    name: Name,
    /// The module that calls went to last, and the number of its restarts then.
    last: Cell<(ModuleId, u32)>,
    interface: PhantomData<fn() -> *const I>,
}

impl<P: Platform> ModuleManager<P> {
    /// Returns the interface `I` of the active module `name`: `manager.bind::<dyn Files>("disk")?`.
    ///
    /// # Errors
    /// No such module is loaded, or it does not export the interface.
    pub fn bind<I: Interface + ?Sized>(&self, name: &str) -> Result<Bound<'_, P, I>, BindError> {
        let name = Name::new(name).ok_or(BindError::NotLoaded)?;
        let id = self.active(&name).ok_or(BindError::NotLoaded)?;
        let provider = ProviderId::Module(id);
        let missing = self.with_export(provider, I::NAME, |export| {
            if !export.serves(I::VERSION) {
                return Some(ImportError::Version { found: export.version(), expected: I::VERSION });
            }
            let position = I::METHODS.iter().position(|method| export.function(method).is_none());
            position.map(|index| ImportError::Method { number: u16::try_from(index).unwrap_or(u16::MAX) })
        });
        match missing {
            Some(None) => {
                let last = Cell::new((id, self.restarts_of(provider)));
                Ok(Bound { manager: self, name, last, interface: PhantomData })
            }
            Some(Some(error)) => Err(BindError::Import(error)),
            None => Err(BindError::Import(ImportError::NoProvider)),
        }
    }
}

impl<P: Platform, I: Interface + ?Sized> Bound<'_, P, I> {
    /// Returns a client, which implements the trait.
    pub fn client(&self) -> I::Client<'_> {
        client::<I, _>(self)
    }
}

impl<P: Platform, I: Interface + ?Sized> Target for Bound<'_, P, I> {
    fn invoke(&self, method: u32, frame: &mut Frame<'_>) -> Reply {
        let Some(id) = self.manager.active(&self.name) else { return CallError::NotBound.into() };
        let provider = ProviderId::Module(id);
        let restarts = self.manager.restarts_of(provider);
        let (last, seen) = self.last.replace((id, restarts));
        if last == id && seen != restarts {
            return CallError::Restarted.into();
        }
        let Some(known) = I::METHODS.get(method as usize) else { return CallError::NoSuchMethod.into() };
        let function = self.manager.with_export(provider, I::NAME, |export| export.function(known));
        match function.flatten() {
            Some(function) => self.manager.call_method(id, function, frame, None),
            None => CallError::NotBound.into(),
        }
    }
}
