//! Calls from one module to another.

use bareflow_abi::CallRefusal;
use bareflow_abi::depends::{Dependencies, Dependency};

use crate::error::ExecuteError;
use crate::manager::ModuleManager;
use crate::module::ModuleId;
use crate::name::Name;
use crate::platform::{Call, CallError, CallOutcome, Callees, MAX_DEPTH, Platform, TimedCall};

/// The resolver of the calls that a module with this dependency list makes.
struct CalleeResolver<'manager, P: Platform> {
    manager: &'manager ModuleManager<P>,
    depends: &'manager [u8],
}

impl<P: Platform> ModuleManager<P> {
    /// Calls a module that may call the modules in `depends`.
    pub(crate) fn call_with_callees(
        &self,
        call: &Call<'_, P::Image>,
        depends: &[u8],
        output: &mut [u8],
    ) -> Result<TimedCall, CallError> {
        self.platform.call_with_callees(call, output, &CalleeResolver { manager: self, depends })
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
        let mut dependencies = Dependencies::new(self.depends);
        let needed = dependencies.find(|needed| needed.name.as_bytes() == name).ok_or(CallRefusal::NotDeclared)?;
        let id = self.manager.resolve(&needed).ok_or(CallRefusal::NotLoaded)?;
        let depth = &self.manager.depth;
        if depth.get() + 1 >= MAX_DEPTH {
            return Err(CallRefusal::TooDeep);
        }
        depth.set(depth.get() + 1);
        let done = self.manager.execute_with(id, input, output);
        depth.set(depth.get() - 1);
        done.map_err(|error| match error {
            ExecuteError::NotLoaded => CallRefusal::NotLoaded,
            ExecuteError::Busy => CallRefusal::Busy,
            ExecuteError::Stopped(_) | ExecuteError::Faulted(_) => CallRefusal::Faulted,
            ExecuteError::ProfileFull | ExecuteError::NoMemory => CallRefusal::NoMemory,
        })
    }
}
