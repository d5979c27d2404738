//! Calls from one module to another.

use bareflow_abi::CallRefusal;
use bareflow_abi::depends::{Dependencies, Dependency};
use bareflow_abi::interface::{CallError, Frame, Reply, Shape};

use crate::error::ExecuteError;
use crate::manager::ModuleManager;
use crate::module::ModuleId;
use crate::module::metadata::Metadata;
use crate::name::Name;
use crate::platform::{CallOutcome, Callees, MAX_DEPTH, Platform};

/// The resolver of the calls that a module with this metadata makes.
pub(crate) struct CalleeResolver<'manager, P: Platform> {
    manager: &'manager ModuleManager<P>,
    metadata: &'manager Metadata<P::Alloc>,
}

impl<P: Platform> ModuleManager<P> {
    /// Returns the resolver for a module's calls; `None` if it calls no others.
    #[inline]
    pub(crate) fn callees_of<'manager>(
        &'manager self,
        metadata: &'manager Metadata<P::Alloc>,
    ) -> Option<CalleeResolver<'manager, P>> {
        metadata.calls_others().then_some(CalleeResolver { manager: self, metadata })
    }

    /// Does `call`, which calls another module, one level deeper; `None` if there are too many levels.
    #[inline]
    pub(crate) fn one_deeper<T>(&self, call: impl FnOnce() -> T) -> Option<T> {
        let depth = self.depth.get();
        if depth + 1 >= MAX_DEPTH {
            return None;
        }
        self.depth.set(depth + 1);
        let done = call();
        self.depth.set(depth);
        Some(done)
    }

    /// Returns the module that a dependency resolves to now.
    fn resolve(&self, needed: &Dependency<'_>) -> Option<ModuleId> {
        let active = self.active(&Name::new(needed.name)?);
        let active = active.filter(|&active| self.admitted(needed, active));
        active.or_else(|| self.find_version(needed.name, |version| needed.admits(version.parts())))
    }
}

impl<P: Platform> Callees for CalleeResolver<'_, P> {
    fn call(&self, name: &[u8], input: &[u8], output: &mut [u8]) -> Result<CallOutcome, CallRefusal> {
        // A function is named behind the module: `net.packet_handler`.
        let (module, function) = match name.iter().position(|byte| *byte == b'.') {
            Some(end) if cfg!(feature = "interfaces") => name.split_at(end),
            _ => (name, &[][..]),
        };
        let mut dependencies = Dependencies::new(self.metadata.depends());
        let needed = dependencies.find(|needed| needed.name.as_bytes() == module).ok_or(CallRefusal::NotDeclared)?;
        let id = self.manager.resolve(&needed).ok_or(CallRefusal::NotLoaded)?;
        let done = match function.split_first() {
            None => self.manager.one_deeper(|| self.manager.execute_with(id, input, output)),
            Some((_, function)) => {
                let function = core::str::from_utf8(function).map_err(|_| CallRefusal::NoFunction)?;
                let function = self.manager.function_of(id, function).map_err(|_| CallRefusal::NoFunction)?;
                let call = || self.manager.execute_function(function, input, output).map(|done| done.outcome);
                self.manager.one_deeper(call)
            }
        };
        done.ok_or(CallRefusal::TooDeep)?.map_err(|error| match error {
            ExecuteError::NotLoaded => CallRefusal::NotLoaded,
            ExecuteError::Busy => CallRefusal::Busy,
            ExecuteError::NoRun => CallRefusal::NoFunction,
            ExecuteError::Stopped(_) | ExecuteError::Waiting { .. } | ExecuteError::Faulted(_) => CallRefusal::Faulted,
            ExecuteError::ProfileFull | ExecuteError::NoMemory => CallRefusal::NoMemory,
        })
    }

    fn shape(&self, import: u32, method: u32) -> Result<Shape, CallError> {
        let interfaces = self.metadata.interfaces().ok_or(CallError::NotBound)?;
        interfaces.method(import, method).map(|(_, method)| method.shape)
    }

    fn invoke(&self, import: u32, method: u32, frame: &mut Frame<'_>) -> Reply {
        let Some(interfaces) = self.metadata.interfaces() else { return CallError::NotBound.into() };
        match interfaces.method(import, method) {
            Ok(bound) => self.manager.invoke(interfaces, bound, frame),
            Err(error) => error.into(),
        }
    }

    #[cfg(feature = "regions")]
    fn find_in_region(&self, address: u64, length: u64, to_write: bool) -> Option<u64> {
        self.manager.find_in_region(self.metadata.interfaces()?, (address, length), to_write)
    }
}
