//! The embedder as a user of a module's interface.

use core::marker::PhantomData;

use bareflow_abi::interface::{CallError, Frame, Interface, Reply, Target, client};

use super::bind::{check_export, no_provider};
use crate::error::BindError;
use crate::manager::ModuleManager;
use crate::module::interfaces::ProviderId;
use crate::name::Name;
use crate::platform::Platform;
use crate::registry::embedder::Exported;
use crate::registry::uses::Use;

/// The interface `I` of a module, for the embedder.
///
/// As long as it is there, the embedder is a user of the module, as modules are: an unload of it is refused, and so is a
/// reload by one that does not serve; any other reload binds this anew. The first call after a restart, or after a reload
/// that lost the state, is [`Restarted`](CallError::Restarted).
pub struct Bound<'manager, P: Platform, I: ?Sized> {
    manager: &'manager ModuleManager<P>,
    used: &'manager Use<P::Alloc>,
    interface: PhantomData<fn() -> *const I>,
}

impl<P: Platform, I: ?Sized> Drop for Bound<'_, P, I> {
    fn drop(&mut self) {
        self.used.interface.set(None);
        self.manager.callers.set(self.manager.callers.get().saturating_sub(1));
    }
}

impl<P: Platform> ModuleManager<P> {
    /// Returns the interface `I` of the active module `name`.
    ///
    /// ```
    /// use bareflow_loader::{BindError, ImportError, ModuleManager, Platform};
    /// use sensors_interface::{SensorError, Sensors};
    ///
    /// fn temperature<P: Platform>(manager: &ModuleManager<P>, module: &str) -> Result<i32, BindError> {
    ///     let sensors = manager.bind::<dyn Sensors>(module)?;
    ///     Ok(sensors.client().temperature("cpu").unwrap_or(i32::MAX))
    /// }
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use bareflow_loader::{KernelDomain, Timing};
    /// # let counter = include_bytes!("../../../../tests/golden/abi-1.2/counter.mod");
    /// # let platform = bareflow_host::HostPlatform::new(Box::new(|line| println!("{line}")))?;
    /// # // SAFETY: the blob is our own.
    /// # let trusted = unsafe { KernelDomain::trust_all_blobs() };
    /// # let manager = ModuleManager::with_kernel_domain(platform, Timing::Precise, trusted);
    /// assert_eq!(temperature(&manager, "counter"), Err(BindError::NotLoaded));
    /// // This module counts its calls, and exports no interface.
    /// manager.load(counter)?;
    /// let error = temperature(&manager, "counter");
    /// assert!(matches!(error, Err(BindError::Import(ImportError::NoProvider { version: (1, 0), .. }))));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// No such module is loaded, it does not export the interface, or there is no memory.
    pub fn bind<I: Interface + ?Sized>(&self, name: &str) -> Result<Bound<'_, P, I>, BindError> {
        let name = Name::new(name).ok_or(BindError::NotLoaded)?;
        let id = self.active(&name).ok_or(BindError::NotLoaded)?;
        let provider = ProviderId::Module(id);
        let checked =
            self.with_export(provider, I::NAME, |export| check_export(&export, I::VERSION, I::METHODS.iter().copied()));
        checked.unwrap_or_else(|| Err(no_provider(I::NAME, I::VERSION))).map_err(BindError::Import)?;
        let used = self.uses.add(Exported::of::<I>(), id, self.restarts_of(provider), self.platform.allocator());
        let used = used.ok_or(BindError::NoMemory)?;
        self.callers.set(self.callers.get() + 1);
        Ok(Bound { manager: self, used, interface: PhantomData })
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
        let Some(id) = self.used.provider.get() else { return CallError::NotBound.into() };
        let provider = ProviderId::Module(id);
        let restarts = self.manager.restarts_of(provider);
        if self.used.restarts.replace(restarts) != restarts {
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
