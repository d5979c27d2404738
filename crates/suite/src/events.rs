//! Events in a run: handlers of the loaded modules are called for a while, after the tests, and modules that wait for it are
//! restarted.

use bareflow_loader::{EventFault, ExecuteError, Platform};

use crate::Run;
use crate::console::{Console, Style};
use crate::figures::Microseconds;

/// The number of handlers that are called between two readings of the clock.
const CALLED_AT_ONCE: usize = 16;

impl<P: Platform, C: Console> Run<'_, P, C> {
    /// Runs events for as long as the plan says, or until none is due any more, nor a restart.
    pub(crate) fn run_events(&mut self) {
        let microseconds = || self.manager.platform().microseconds();
        let Some(start_us) = microseconds().filter(|_| self.plan.events_us > 0) else { return };
        let end_us = start_us.saturating_add(self.plan.events_us);
        line!(self.console, Heading, "[EVENTS] Running events for {}", Microseconds(self.plan.events_us));
        let mut called = 0;
        while let Some(now_us) = self.manager.platform().microseconds().filter(|&now_us| now_us < end_us) {
            let restart_us = self.manager.restart_due();
            while let Some(notice) = self.manager.take_notice() {
                line!(self.console, Plain, "  {notice}");
            }
            let run = self.manager.run_events(CALLED_AT_ONCE);
            called += run.called;
            if let Some(EventFault { module, fault }) = run.fault {
                let name = self.manager.load_of(module).map(|(name, _)| name);
                let name = name.as_ref().map_or("", |name| name.as_str());
                self.show_error(name, module, &ExecuteError::Faulted(fault));
            } else if !run.has_more {
                let Some(due_us) = run.next_due_us.into_iter().chain(restart_us).min() else { break };
                if let wait_us @ 1.. = due_us.min(end_us).saturating_sub(now_us) {
                    (self.plan.sleep)(wait_us);
                }
            }
        }
        self.console.show(Style::Good, format_args!("  [OK]"));
        line!(self.console, Plain, " {called} calls of handlers");
        line!(self.console);
    }
}
