//! Pinned modules, for many calls in a row.

use core::cell::Ref;

use crate::error::ExecuteError;
use crate::manager::ModuleManager;
use crate::module::{Failure, Module, ModuleId};
use crate::platform::{CallOutcome, Platform, TimedCall};

/// A pinned module: calls skip the lookup that [`ModuleManager::execute`] makes.
///
/// If the module is replaced while it is pinned, further calls fail, and its memory is freed on unpin.
pub struct PinnedModule<'manager, P: Platform> {
    manager: &'manager ModuleManager<P>,
    id: ModuleId,
    /// `None` once the module is gone.
    module: Option<Ref<'manager, Module<P>>>,
}

impl<P: Platform> ModuleManager<P> {
    /// Pins a module.
    ///
    /// # Errors
    /// [`ExecuteError::NotLoaded`] if the module is gone.
    pub fn pin(&self, id: ModuleId) -> Result<PinnedModule<'_, P>, ExecuteError> {
        let module = self.borrow(id).map_err(|failure| self.to_error(id, failure))?;
        Ok(PinnedModule { manager: self, id, module: Some(module) })
    }
}

impl<P: Platform> PinnedModule<'_, P> {
    /// Calls the module without input or output and profiles the call.
    ///
    /// # Errors
    /// The reason for which there is no result.
    #[inline(always)]
    pub fn execute(&mut self) -> Result<i32, ExecuteError> {
        let Some(module) = &self.module else { return Err(ExecuteError::NotLoaded) };
        match self.manager.call_profiled(module, &[], &mut []) {
            Ok(returned) => Ok(returned.outcome.result),
            Err(failure) => Err(self.failed(failure)),
        }
    }

    /// Calls the module with `input`, lets it write to `output`, and profiles the call.
    ///
    /// # Errors
    /// The reason for which there is no result.
    #[inline]
    pub fn execute_with(&mut self, input: &[u8], output: &mut [u8]) -> Result<CallOutcome, ExecuteError> {
        self.try_call(input, output).map(|returned| returned.outcome)
    }

    /// Calls the module `calls` times in a row without input or output, reading the clock once per call.
    ///
    /// The end of one call is the start of the next, so a reading includes what the loader does between two calls. None
    /// of the calls is checked. Returns the result of the last call, or `None` if there was none.
    ///
    /// # Errors
    /// The reason for which a call gave no result.
    pub fn execute_chained(&mut self, calls: u64) -> Result<Option<i32>, ExecuteError> {
        let Some(module) = &self.module else { return Err(ExecuteError::NotLoaded) };
        let done = self.manager.call_chained(module, calls);
        done.map_err(|failure| self.failed(failure))
    }

    #[inline(always)]
    fn try_call(&mut self, input: &[u8], output: &mut [u8]) -> Result<TimedCall, ExecuteError> {
        let Some(module) = &self.module else { return Err(ExecuteError::NotLoaded) };
        match self.manager.call_profiled(module, input, output) {
            Ok(returned) => Ok(returned),
            Err(failure) => Err(self.failed(failure)),
        }
    }

    /// Returns the error of a failed call.
    ///
    /// It is built in memory of its own, so that a successful result need not be written to memory.
    #[inline(always)]
    fn failed(&mut self, failure: Failure) -> ExecuteError {
        let mut error = ExecuteError::NotLoaded;
        self.fail(failure, &mut error);
        error
    }

    /// Handles a failed call. Temporarily unpins the module, so that it can be restarted.
    #[cold]
    #[inline(never)]
    fn fail(&mut self, failure: Failure, error: &mut ExecuteError) {
        *error = self.manager.to_error(self.id, failure);
        self.unpin(matches!(failure, Failure::Faulted));
        self.module = self.manager.borrow(self.id).ok();
    }

    fn unpin(&mut self, faulted: bool) {
        if let Some(module) = self.module.take() {
            drop(module);
            self.manager.end_interrupted(self.id, None);
            self.manager.end_retired(self.id, faulted);
        }
    }
}

impl<P: Platform> Drop for PinnedModule<'_, P> {
    fn drop(&mut self) {
        self.unpin(false);
    }
}

#[cfg(all(test, feature = "reload"))]
mod tests {
    use super::*;
    use crate::error::UnloadError;
    use crate::fault::{Fault, FaultKind};
    use crate::policy::FaultPolicy;
    use crate::policy::LoadOptions;
    use crate::profile::Timing;
    use crate::testing::{FakePlatform, blob, manager};

    const FAULT: Fault = Fault { kind: FaultKind::Divide, offset: Some(0), address: None };

    #[test]
    fn counts_calls_like_any_other() {
        let platform = FakePlatform::default();
        let manager = manager(&platform, Timing::Fast);
        let id = manager.load(&blob::small("held")).unwrap();
        let mut pinned = manager.pin(id).unwrap();
        assert_eq!((pinned.execute(), pinned.execute_chained(3)), (Ok(42), Ok(Some(42))));
        assert_eq!(pinned.execute_chained(0), Ok(None));
        let profile = manager.stats(id).unwrap();
        assert_eq!((profile.call_count, profile.total_cycles, profile.last_result), (4, 40, Some(42)));
    }

    #[test]
    fn what_is_pinned_goes_when_it_is_unpinned() {
        let platform = FakePlatform::default();
        let manager = manager(&platform, Timing::Fast);
        let id = manager.load(&blob::small("held")).unwrap();
        let mut pinned = manager.pin(id).unwrap();
        manager.replace(&blob::small("held"), &LoadOptions::default()).unwrap();
        assert_eq!(pinned.execute(), Err(ExecuteError::NotLoaded));
        assert_eq!(platform.images.get(), 1);
        drop(pinned);
        assert!(manager.pin(id).is_err());
        assert_eq!(manager.take_receipt().map(|receipt| receipt.call_count), Some(0));
    }

    #[test]
    fn is_restarted_after_a_fault() {
        let platform = FakePlatform::default();
        let manager = manager(&platform, Timing::Fast);
        let options = LoadOptions { on_fault: FaultPolicy::Restart, ..LoadOptions::default() };
        let id = manager.load_with(&blob::small("held"), &options).unwrap();
        let mut pinned = manager.pin(id).unwrap();
        for chained in [false, true] {
            platform.results.borrow_mut().push_back(Err(FAULT));
            let done = if chained { pinned.execute_chained(1).map(|_| 0) } else { pinned.execute() };
            assert_eq!(done, Err(ExecuteError::Faulted(FAULT)));
            assert_eq!(pinned.execute(), Ok(42));
        }
        assert_eq!(manager.stats(id).map(|profile| (profile.restarts, profile.call_count)), Some((2, 4)));
    }

    #[test]
    fn rejects_to_unload_what_is_pinned() {
        let platform = FakePlatform::default();
        let manager = manager(&platform, Timing::Fast);
        let id = manager.load(&blob::small("held")).unwrap();
        let mut pinned = manager.pin(id).unwrap();
        assert!(matches!(manager.unload(id), Err(UnloadError::Busy { .. })));
        assert_eq!(pinned.execute(), Ok(42));
        drop(pinned);
        assert!(manager.unload(id).is_ok());
    }

    #[test]
    fn rejects_what_is_gone() {
        let platform = FakePlatform::default();
        let manager = manager(&platform, Timing::Fast);
        let id = manager.load(&blob::small("held")).unwrap();
        manager.unload(id).unwrap();
        assert!(matches!(manager.pin(id), Err(ExecuteError::NotLoaded)));
    }
}
