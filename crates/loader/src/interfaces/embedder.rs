//! The interfaces that the embedder provides.

use core::cell::RefCell;
use core::marker::PhantomData;

use allocator_api2::boxed::Box;
use bareflow_abi::interface::bindings::Method;
use bareflow_abi::interface::{CallError, Frame, Interface, Reply, Serve, serve, serve_shared};

use crate::error::ProvideError;
use crate::manager::ModuleManager;
use crate::module::interfaces::LOADER_NAME;
use crate::module::interfaces::LoaderInterface;
use crate::name::Name;
use crate::platform::Platform;
use crate::registry::embedder::{Embedder, Exported, Provide, Provider};

/// An interface that the embedder provides, for people.
#[derive(Clone, Copy, Debug)]
pub struct Provided {
    /// The name by which modules ask for it.
    pub name: Name,
    /// The interface's name.
    pub interface: &'static str,
    /// The version: major, minor.
    pub version: (u16, u16),
    /// The methods.
    pub methods: &'static [Method],
    /// Their signatures as text.
    pub signatures: &'static str,
}

/// A provider with its type.
struct Typed<I: ?Sized, T> {
    /// Lent to one call of a method that takes `&mut self`, or to any number of others.
    provider: RefCell<T>,
    interface: PhantomData<fn() -> *const I>,
}

impl<I: Serve<T> + ?Sized, T> Provide for Typed<I, T> {
    fn call(&self, _: u32, method: u32, frame: &mut Frame<'_>) -> Reply {
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

    #[cfg(feature = "events")]
    fn is_busy(&self) -> bool {
        self.provider.try_borrow_mut().is_err()
    }
}

/// A provider that is made anew for each call, by what makes it.
struct Made<I: ?Sized, T, F> {
    make: F,
    interface: PhantomData<fn() -> (*const I, T)>,
}

impl<I: Serve<T> + ?Sized, T, F: Fn(u32) -> T> Provide for Made<I, T, F> {
    fn call(&self, caller: u32, method: u32, frame: &mut Frame<'_>) -> Reply {
        serve::<I, T>(&mut (self.make)(caller), method, frame)
    }

    #[cfg(feature = "events")]
    fn is_busy(&self) -> bool {
        false
    }
}

impl<P: Platform> ModuleManager<P> {
    /// Returns all that the embedder provides.
    pub(super) fn embedder(&self) -> &Embedder<P::Alloc> {
        if let Some(provide) = self.on_first_import.take() {
            provide(self);
        }
        &self.embedder
    }

    /// Lets `provide` call [`provide`](Self::provide) once a module imports something, and not before: a start without
    /// such modules need not make the providers. It takes the place of the one given before, unless that was called.
    pub fn provide_on_first_import(&self, provide: fn(&ModuleManager<P>)) {
        self.on_first_import.set(Some(provide));
    }

    /// Passes each interface that the embedder or the loader itself provides to `look`, in order.
    pub fn for_each_provided(&self, mut look: impl FnMut(Provided)) {
        for (_, provider) in self.embedder().all() {
            let Exported { interface, version, methods, signatures } = provider.exported;
            look(Provided { name: provider.name, interface, version, methods, signatures });
        }
        for interface in LoaderInterface::ALL {
            let (Some(name), Exported { interface, version, methods, signatures }) =
                (Name::new(LOADER_NAME), interface.exported())
            else {
                continue;
            };
            look(Provided { name, interface, version, methods, signatures });
        }
    }

    /// Provides the interface `I` to modules, by `provider` and under a name.
    ///
    /// ```
    /// use bareflow_host::HostPlatform;
    /// use bareflow_loader::{ModuleManager, ProvideError, Timing};
    /// use sensors_interface::{SensorError, Sensors};
    ///
    /// struct Board {
    ///     temperature: i32,
    /// }
    ///
    /// impl Sensors for Board {
    ///     fn temperature(&self, sensor: &str) -> Result<i32, SensorError> {
    ///         if sensor == "cpu" { Ok(self.temperature) } else { Err(SensorError::NoSuchSensor) }
    ///     }
    /// }
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let manager = ModuleManager::new(HostPlatform::new(Box::new(|line| println!("{line}")))?, Timing::Precise);
    /// manager.provide::<dyn Sensors, _>("board", Board { temperature: 42_000 })?;
    /// // From here on, modules are loaded that import `Sensors`.
    /// let again = manager.provide::<dyn Sensors, _>("board", Board { temperature: 0 });
    /// assert_eq!(again, Err(ProvideError::Taken));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// It stays for as long as the manager. A method that takes `&mut self` is called once at a time: a second call that
    /// begins meanwhile is [`Busy`](CallError::Busy). Its code runs with the embedder's own privileges.
    ///
    /// If a method panics, and the platform can end that ([`Platform::call_provider`]), the call is
    /// [`Faulted`](CallError::Faulted), and so is each later one of this provider, until another one with the same methods
    /// is provided under its name, which takes its place also for the modules that use it. The first call of each
    /// of their imports after that is [`Restarted`](CallError::Restarted).
    ///
    /// # Errors
    /// The name is none, or taken, or there is no memory.
    pub fn provide<I, T>(&self, name: &str, provider: T) -> Result<(), ProvideError>
    where
        I: Serve<T> + ?Sized + 'static,
        T: Send + 'static,
    {
        self.add_provider::<I, _>(name, Typed::<I, T> { provider: RefCell::new(provider), interface: PhantomData })
    }

    /// Provides the interface `I` to modules as [`provide`](Self::provide) does, by what `make` returns for each call.
    ///
    /// `make` is told [who calls](bareflow_abi::Context::caller), so that what is one module's can be kept from the others.
    /// What it returns may be called while another one is.
    ///
    /// # Errors
    /// As with [`provide`](Self::provide).
    pub fn provide_to_each<I, T, F>(&self, name: &str, make: F) -> Result<(), ProvideError>
    where
        I: Serve<T> + ?Sized + 'static,
        T: 'static,
        F: Fn(u32) -> T + Send + 'static,
    {
        self.add_provider::<I, _>(name, Made::<I, T, F> { make, interface: PhantomData })
    }

    fn add_provider<I, T>(&self, name: &str, provider: T) -> Result<(), ProvideError>
    where
        I: Interface + ?Sized + 'static,
        T: Provide + Send + 'static,
    {
        let name = Name::new(name).ok_or(ProvideError::Name)?;
        let exported = Exported::of::<I>();
        let same = |other: &Exported| other.interface == exported.interface;
        let taken = self.embedder.all().find(|(_, other)| other.name == name && same(&other.exported));
        let list = taken.map_or(Some(&self.embedder), |(_, other)| other.replacements(&exported));
        let list = list.ok_or(ProvideError::Taken)?;
        let provider = Box::try_new_in(Provider::new(name, exported, provider), self.platform.allocator());
        let provider = provider.map_err(|_| ProvideError::NoMemory)?;
        list.add(allocator_api2::unsize_box!(provider));
        Ok(())
    }
}
