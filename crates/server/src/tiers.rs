//! The ascent of portable modules: a module that has cost enough in its tier is compiled for the next one.
//!
//! A compilation is one call of an engine, which may take seconds. It begins when there is no other work, and calls that
//! clients ask for meanwhile are made within it: see [`Server::call_meanwhile`].

use core::cell::Cell;

use alloc::vec::Vec;

use bareflow_loader::{ModuleId, Platform};
use bareflow_protocol::tier::Tier;
use bareflow_suite::module_file::ModuleFile;
use bareflow_suite::tiers::Rates;

use crate::task::Task;
use crate::{Server, ServerEnvironment};

/// The milliseconds between two looks at what modules have cost.
const LOOK_INTERVAL_MS: u64 = 16;

/// The state of all ascents.
#[derive(Debug)]
pub(crate) struct Ascents {
    /// The number of compilations that are under way, each within a call of the one before.
    compiling: Cell<u32>,
    /// The module that is compiled for its next tier: its file is not in the store meanwhile.
    ascending: Cell<Option<ModuleId>>,
    rates: Cell<Rates>,
    looked_ms: Cell<u64>,
}

impl Ascents {
    pub const fn new() -> Ascents {
        Ascents {
            compiling: Cell::new(0),
            ascending: Cell::new(None),
            rates: Cell::new(Rates::MEASURED_ELSEWHERE),
            looked_ms: Cell::new(0),
        }
    }

    /// Returns whether the file of this module is not in the store, though it is loaded.
    pub fn has_taken(&self, id: ModuleId) -> bool {
        self.ascending.get() == Some(id)
    }

    /// Lets `compile` call an engine.
    pub fn compiling<T>(&self, compile: impl FnOnce() -> T) -> T {
        self.compiling.set(self.compiling.get() + 1);
        let done = compile();
        self.compiling.set(self.compiling.get() - 1);
        done
    }
}

impl<P: Platform, S: ServerEnvironment> Server<'_, P, S> {
    /// Compiles a module for its next tier, if one has cost enough. Returns whether there was one.
    ///
    /// To be called when there is no other work.
    pub(crate) fn ascend(&self) -> bool {
        let now = self.environment.milliseconds();
        let Ascents { ascending, rates, looked_ms, .. } = &self.ascents;
        if ascending.get().is_some() || now.saturating_sub(looked_ms.get()) < LOOK_INTERVAL_MS {
            return false;
        }
        looked_ms.set(now);
        let mut estimates = rates.get();
        let due = self.store.borrow_mut().take_first(|id, file| file.next_tier(&self.manager, id, &estimates));
        let Some((id, tier, mut file, input)) = due else { return false };
        ascending.set(Some(id));
        let (manager, console) = (self.unborrowed(), &self.environment);
        // What comes after the compilation calls the module itself, so its callers wait.
        let compiling = |compile: &dyn Fn() -> _| self.ascents.compiling(compile);
        let reloaded = file.ascend(manager, console, (id, tier), &input, &mut estimates, compiling);
        rates.set(estimates);
        ascending.set(None);
        self.store.borrow_mut().put_back(reloaded.as_ref().map_or(id, |reloaded| reloaded.id), file, input);
        match reloaded {
            Some(reloaded) => self.log_replaced(&reloaded),
            None => self.sweep(),
        }
        true
    }

    /// Makes a call that a client waits for while an engine compiles: a slice of the first such job.
    ///
    /// To be called while the engine's own code is interrupted.
    pub fn call_meanwhile(&self) {
        if !self.has_calls_meanwhile() || !self.environment.may_run_modules() {
            return;
        }
        let job = {
            let mut jobs = self.jobs.borrow_mut();
            let found = jobs.iter().position(|job| matches!(job.task, Task::Call(_)));
            found.and_then(|index| jobs.remove(index))
        };
        if let Some(job) = job {
            self.work_on(job);
        }
    }

    /// Returns whether there is anything to do for [`call_meanwhile`](Self::call_meanwhile).
    pub fn has_calls_meanwhile(&self) -> bool {
        self.ascents.compiling.get() > 0
            && self.jobs.try_borrow().is_ok_and(|jobs| jobs.iter().any(|job| matches!(job.task, Task::Call(_))))
    }
}

/// The parts of the store that were taken out for an ascent: the module, its next tier, its file and its last input.
pub(crate) type Due<'blobs, P> = (ModuleId, Tier, ModuleFile<'blobs, P>, Vec<u8>);
