//! The call of a method.

use bareflow_abi::interface::{CallError, FIRST_FUNCTION, Frame, Reply};

use crate::fault::FaultKind;
use crate::manager::ModuleManager;
use crate::module::interfaces::{Import, ProviderId};
use crate::module::lifecycle::ModuleState;
use crate::module::{Failure, Module, ModuleId};
use crate::platform::{Call, CallFailure, Callees, Platform, TimedReply};
use crate::profile::Timing;

impl<P: Platform> ModuleManager<P> {
    /// Calls a method of an import.
    pub(crate) fn invoke(&self, import: &Import<P::Alloc>, method: u32, frame: &mut Frame<'_>) -> Reply {
        let (Some(provider), Some(bound)) = (import.provider.get(), import.method(method)) else {
            return CallError::NotBound.into();
        };
        if bound.shape != frame.shape() {
            return CallError::BadArgument.into();
        }
        match provider {
            ProviderId::Embedder(number) => match self.embedder.get(number) {
                Some(found) => found.provider.call(bound.function, frame),
                None => CallError::NotBound.into(),
            },
            ProviderId::Module(id) => {
                let called = self.one_deeper(|| self.call_method(id, bound.function, frame, Some(import)));
                called.unwrap_or(CallError::TooDeep.into())
            }
        }
    }

    /// Calls a function of a module by a frame, which has the function's shape, and profiles the call. `import` is what
    /// the user calls it by.
    pub(crate) fn call_method(
        &self,
        id: ModuleId,
        function: u32,
        frame: &mut Frame<'_>,
        import: Option<&Import<P::Alloc>>,
    ) -> Reply {
        let module = match self.borrow(id) {
            Ok(module) => module,
            Err(Failure::NotLoaded) => return CallError::NotBound.into(),
            Err(_) => return CallError::Busy.into(),
        };
        if let Some(import) = import {
            let restarts = module.faults.restarts.get();
            if import.restarts.replace(restarts) != restarts {
                return CallError::Restarted.into();
            }
        }
        let done = self.call_method_profiled(&module, function, frame);
        let retired = module.lifecycle.is_retired();
        drop(module);
        self.after_call(id, retired, done.is_err());
        done.unwrap_or_else(Reply::from)
    }

    /// Calls a function of a borrowed module.
    ///
    /// # Errors
    /// The error for the user if the module faulted.
    fn call_method_profiled(
        &self,
        module: &Module<P>,
        function: u32,
        frame: &mut Frame<'_>,
    ) -> Result<Reply, CallError> {
        let state = match module.callable() {
            Ok(state) => state,
            Err(_) if module.lifecycle.state() == ModuleState::Stopped => return Ok(CallError::Faulted.into()),
            Err(Failure::NotLoaded) => return Ok(CallError::NotBound.into()),
            Err(_) => return Ok(CallError::Busy.into()),
        };
        let functions = module.metadata.interfaces().map(|interfaces| &interfaces.functions);
        let Some(profile) = functions.and_then(|functions| functions.get(function as usize)) else {
            return Ok(CallError::NoSuchMethod.into());
        };
        let samples = profile.profile_buffer.samples(&self.spare_buffer, || self.platform.allocator());
        let Some(samples) = samples else { return Ok(CallError::NoMemory.into()) };
        let timing = profile.sampler.next(self.timing);
        let call = Call {
            module: &module.name,
            image: &module.placed.image,
            entry: module.placed.entry,
            reason: FIRST_FUNCTION + function,
            input: &[],
            timing,
            // As for calls of `run`: the first one, and one in some hundred.
            check_abi: timing != Timing::Untimed && samples.is_flushed(),
        };
        module.lifecycle.set(ModuleState::Running);
        let callees = self.callees_of(&module.metadata);
        let callees = callees.as_ref().map(|callees| callees as &dyn Callees);
        let done = self.platform.call_method(&call, frame, callees);
        module.lifecycle.set(state);
        match done {
            Ok(TimedReply { reply, cycles }) => {
                if timing != Timing::Untimed {
                    samples.push(cycles);
                }
                profile.last_result.set(reply.status as i32);
                Ok(reply)
            }
            Err(error) => {
                if timing == Timing::Untimed {
                    profile.sampler.uncount();
                }
                match error {
                    CallFailure::NoMemory => Ok(CallError::NoMemory.into()),
                    CallFailure::Fault(fault) => {
                        profile.faults.set(profile.faults.get().saturating_add(1));
                        module.faults.note(fault, self.platform.diagnosis(), self.platform.allocator());
                        self.last_fault.set(Some(fault));
                        Err(match fault.kind {
                            FaultKind::TimeBudget => CallError::OutOfTime,
                            _ => CallError::Faulted,
                        })
                    }
                }
            }
        }
    }
}
