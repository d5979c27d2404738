//! Events of modules: the server runs them beside what its clients ask for, and asks modules to end.

use bareflow_loader::{EventFault, EventsRun, ExecuteError, ModuleId, Platform};
use bareflow_suite::events::{END_TIMEOUT_MS, has_complied, show_end};

use crate::time_slice::SLICE_MS;
use crate::{Server, ServerEnvironment};

/// A module that is to be unloaded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unloading {
    pub id: ModuleId,
    /// Whether it was asked to end; `None` at first.
    pub is_asked: Option<bool>,
}

impl<P: Platform, S: ServerEnvironment> Server<'_, P, S> {
    /// Calls handlers of pending events for about a slice, and shows their faults on the console.
    ///
    /// `during_call`: a call is under way, whose own code was interrupted. See
    /// [`run_events_during_call`](bareflow_loader::ModuleManager::run_events_during_call).
    pub fn run_events(&self, during_call: bool) -> EventsRun {
        let until = self.environment.milliseconds() + SLICE_MS;
        let mut called = 0;
        loop {
            let manager = self.unborrowed();
            let run = if during_call { manager.run_events_during_call(1) } else { manager.run_events(1) };
            if let Some(EventFault { module, fault }) = run.fault {
                // No client waits for it.
                let _ = self.explain(module, &ExecuteError::Faulted(fault));
            }
            if run.called == 0 {
                return EventsRun { called, ..run };
            }
            self.log_reaped();
            called += run.called;
            if !run.has_more || self.environment.milliseconds() >= until {
                return EventsRun { called, ..run };
            }
        }
    }

    /// Asks all modules to end that handle it, and runs events until they have, for as long as an unload would wait.
    ///
    /// To be called when a client has ended the server, and no call is under way.
    pub fn end_modules(&self) {
        let until = self.environment.milliseconds() + END_TIMEOUT_MS;
        self.manager.ids().for_each(|id| _ = self.manager.request_stop(id));
        while self.manager.ids().any(|id| has_complied(&self.manager, id) == Some(false))
            && self.environment.milliseconds() < until
        {
            self.run_events(false);
        }
        for id in self.manager.ids() {
            if let (Some(has_ended), Some(profile)) = (has_complied(&self.manager, id), self.manager.stats(id)) {
                show_end(&self.environment, &profile.name, &profile.version, has_ended);
            }
        }
    }

    /// Asks a module to end before it is unloaded, if it handles that and only calls under way keep it. Returns whether it
    /// was asked, now or before.
    pub(crate) fn ask_to_end(&self, unloading: &mut Unloading) -> bool {
        let id = unloading.id;
        *unloading
            .is_asked
            .get_or_insert_with(|| self.manager.check_unload(id).is_ok() && self.manager.request_stop(id))
    }
}
