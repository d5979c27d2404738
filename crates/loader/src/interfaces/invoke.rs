//! The call of a method.

use bareflow_abi::interface::{CallError, FIRST_FUNCTION, Frame, Reply};

use crate::fault::FaultKind;
use crate::manager::ModuleManager;
use crate::module::interfaces::{BoundMethod, Import, Interfaces, ProviderId};
use crate::module::lifecycle::ModuleState;
use crate::module::{Failure, Module, ModuleId};
use crate::platform::{Call, CallFailure, Callees, Platform, TimedReply};
use crate::profile::Timing;

impl<P: Platform> ModuleManager<P> {
    /// Calls a method of an import of the module `caller` by a frame.
    #[inline]
    pub(crate) fn invoke(
        &self,
        caller: &Interfaces<P::Alloc>,
        (import, method): (&Import, BoundMethod),
        frame: &mut Frame<'_>,
    ) -> Reply {
        let Some(provider) = import.provider.get() else { return CallError::NotBound.into() };
        let BoundMethod { function, shape } = method;
        if shape != frame.shape() {
            return CallError::BadArgument.into();
        }
        // One of the embedder's may call modules in turn, so its calls count as levels, too.
        let called = match provider {
            ProviderId::Loader(interface) => return self.call_loader(interface, caller, function, frame),
            ProviderId::Module(id) => {
                self.one_deeper(|| self.call_method(id, function, frame, Some((import, caller.caller.get()))))
            }
            ProviderId::Embedder(number) => self.one_deeper(|| match self.embedder.get(number) {
                Some(found) => found.call(&self.platform, function, frame, (caller.caller.get(), &import.restarts)),
                None => CallError::NotBound.into(),
            }),
        };
        called.unwrap_or(CallError::TooDeep.into())
    }

    /// Calls a method of a module by a frame, which has the method's shape, and profiles the call. `user` is the
    /// import that a module calls it by, and that module's number.
    pub(crate) fn call_method(
        &self,
        id: ModuleId,
        function: u32,
        frame: &mut Frame<'_>,
        user: Option<(&Import, u32)>,
    ) -> Reply {
        let (import, caller) = user.map_or((None, 0), |(import, caller)| (Some(import), caller));
        let called = self.call_function(id, (function, caller), |module, call, callees| {
            if let Some(import) = import {
                let restarts = module.faults.restarts.get();
                if import.restarts.replace(restarts) != restarts {
                    return Ok(None);
                }
            }
            let TimedReply { reply, cycles } = self.platform.call_method(call, frame, callees)?;
            Ok(Some(Returned { value: reply, cycles, last_result: reply.status as i32 }))
        });
        match called {
            Ok(Some(reply)) => reply,
            Ok(None) => CallError::Restarted.into(),
            Err(failure) => self.to_call_error(id, failure).into(),
        }
    }

    /// Calls a function of a module for the one with the number `caller` by `enter`, and profiles the call, unless `enter` made
    /// none.
    #[inline]
    pub(super) fn call_function<T>(
        &self,
        id: ModuleId,
        (function, caller): (u32, u32),
        enter: impl FnOnce(
            &Module<P>,
            &Call<'_, P::Image>,
            Option<&dyn Callees>,
        ) -> Result<Option<Returned<T>>, CallFailure>,
    ) -> Result<Option<T>, Failure> {
        let module = self.borrow(id)?;
        let done = self.call_function_profiled(&module, (function, caller), enter);
        let needs_care = module.lifecycle.needs_care();
        drop(module);
        let faulted = matches!(done, Err(Failure::Faulted));
        if needs_care {
            self.end_interrupted(id, Some(function));
            self.end_retired(id, faulted);
        } else {
            self.after_call(id, faulted);
        }
        done
    }

    fn call_function_profiled<T>(
        &self,
        module: &Module<P>,
        (function, caller): (u32, u32),
        enter: impl FnOnce(
            &Module<P>,
            &Call<'_, P::Image>,
            Option<&dyn Callees>,
        ) -> Result<Option<Returned<T>>, CallFailure>,
    ) -> Result<Option<T>, Failure> {
        let state = module.callable()?;
        let functions = module.metadata.interfaces().map(|interfaces| &interfaces.functions);
        let profile = functions.and_then(|functions| functions.get(function as usize)).ok_or(Failure::NoRun)?;
        let samples = profile.profile_buffer.samples(&self.spare_buffer, || self.platform.allocator());
        let samples = samples.ok_or(Failure::ProfileFull)?;
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
            caller,
        };
        module.lifecycle.set(ModuleState::Running);
        let resolver = self.callees_of(&module.metadata);
        let callees = resolver.as_ref().map(|resolver| resolver as &dyn Callees);
        let done = enter(module, &call, callees);
        module.lifecycle.set(state);
        match done {
            Ok(Some(Returned { value, cycles, last_result })) => {
                if timing != Timing::Untimed {
                    samples.push(cycles);
                }
                profile.last_result.set(last_result);
                Ok(Some(value))
            }
            Ok(None) => {
                if timing == Timing::Untimed {
                    profile.sampler.uncount();
                }
                Ok(None)
            }
            Err(error) => Err(self.note_failure(module, &profile.sampler, &profile.faults, error, timing)),
        }
    }

    /// Returns the error for the user whose call failed.
    fn to_call_error(&self, id: ModuleId, failure: Failure) -> CallError {
        match failure {
            Failure::NotLoaded => CallError::NotBound,
            Failure::NoRun => CallError::NoSuchMethod,
            Failure::NoMemory | Failure::ProfileFull => CallError::NoMemory,
            Failure::Refused if self.get(id).is_some_and(|module| module.lifecycle.state() == ModuleState::Stopped) => {
                CallError::Faulted
            }
            Failure::Refused => CallError::Busy,
            Failure::Faulted => match self.last_fault.get() {
                Some(fault) if fault.kind == FaultKind::TimeBudget => CallError::OutOfTime,
                _ => CallError::Faulted,
            },
        }
    }
}

/// The outcome of a function's call.
pub(super) struct Returned<T> {
    /// The value for the caller.
    pub value: T,
    /// The cycles that it took.
    pub cycles: u64,
    /// The result, or a method's status.
    pub last_result: i32,
}
