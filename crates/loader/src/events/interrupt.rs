//! Events that interrupt a call: which may, and for how long.

use bareflow_abi::depends::Dependencies;

use super::run::EventsRun;
use crate::manager::ModuleManager;
use crate::module::interfaces::ProviderId;
use crate::module::lifecycle::ModuleState;
use crate::module::{Module, ModuleId};
use crate::platform::{MAX_DEPTH, Platform};
use crate::policy::EventLimits;

/// The number of modules that are looked at for what a handler may call; one that may call more waits for its turn.
const MAX_LOOKED_AT: usize = 256;

impl<P: Platform> ModuleManager<P> {
    /// Calls the handlers of up to `at_most` pending events while a call is under way that stands still meanwhile.
    ///
    /// To be called where the module's own code was interrupted, never from code of the embedder's that holds anything.
    /// A handler is called only if its module, and everything that it may call, has nothing to do with the calls under
    /// way, and if what it may call has a budget of at most [`EventLimits::own_us`]; the others wait for the end of the
    /// call. All events together take at most half of the time, so `has_more` says that some wait for the call's half.
    pub fn run_events_during_call(&self, at_most: usize) -> EventsRun {
        let mut all = EventsRun::default();
        while all.called < at_most && all.fault.is_none() {
            let start = self.platform.clock();
            let now_us = self.platform.microseconds().unwrap_or_default();
            let may_run = self.with_events(|table| table.window.may_run(now_us, start));
            if !may_run.unwrap_or_default() {
                break;
            }
            let one = self.run(1, true);
            let spent = self.platform.clock().saturating_sub(start);
            self.with_events(|table| table.window.spend(spent));
            if one.called > 0 {
                self.note_interruption(spent);
            }
            all = EventsRun { called: all.called + one.called, ..one };
            if one.called == 0 {
                break;
            }
        }
        all
    }

    /// Notes the time that events took of all running calls.
    fn note_interruption(&self, cycles: u64) {
        for id in self.ids() {
            if let Some(module) = self.get(id)
                && module.lifecycle.state() == ModuleState::Running
            {
                module.lifecycle.interrupt();
                self.with_events(|table| table.stolen.add(id, cycles));
            }
        }
    }

    /// Takes the time that events took of a call off its reading, the last one of a module's `run`, or of a function.
    pub(crate) fn take_interruption(&self, id: ModuleId, module: &Module<P>, function: Option<u32>) -> u64 {
        let cycles = self.with_events(|table| table.stolen.take(id)).unwrap_or_default();
        let buffer = match function {
            None => Some(&module.profile_buffer),
            Some(number) => {
                let functions = module.metadata.interfaces().map(|interfaces| &interfaces.functions);
                functions.and_then(|functions| functions.get(number as usize)).map(|function| &function.profile_buffer)
            }
        };
        if let Some(samples) = buffer.and_then(|buffer| buffer.get()) {
            samples.correct_last(cycles);
        }
        cycles
    }

    /// Returns whether a handler of the module may run now, though calls are under way.
    pub(super) fn may_interrupt(&self, id: ModuleId) -> bool {
        let mut left = MAX_LOOKED_AT;
        self.reach(id, self.depth.get() + 1, &mut left).is_some()
    }

    /// Checks a module that would be called at `depth`, and all that it may call.
    fn reach(&self, id: ModuleId, depth: usize, left: &mut usize) -> Option<()> {
        *left = left.checked_sub(1)?;
        let module = self.get(id).filter(|_| depth < MAX_DEPTH)?;
        if module.lifecycle.state() == ModuleState::Running {
            return None;
        }
        let may_be_called = |id: ModuleId, left: &mut usize| {
            let budget = self.get(id)?.placement.budget;
            if budget.time_us > EventLimits::DEFAULT.own_us {
                return None;
            }
            self.reach(id, depth + 1, left)
        };
        for import in module.metadata.interfaces().into_iter().flat_map(|interfaces| &interfaces.imports) {
            match import.provider.get() {
                Some(ProviderId::Module(id)) => may_be_called(id, left)?,
                Some(ProviderId::Embedder(number))
                    if self.embedder.get(number).is_some_and(|found| found.is_busy()) =>
                {
                    return None;
                }
                Some(ProviderId::Embedder(_) | ProviderId::Loader(_)) | None => {}
            }
        }
        for needed in Dependencies::new(module.metadata.depends()) {
            for id in self.versions_of(needed.name).filter(|&id| self.admitted(&needed, id)) {
                may_be_called(id, left)?;
            }
        }
        Some(())
    }
}
