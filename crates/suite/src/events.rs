//! Events in a run: handlers of the loaded modules are called for a while, after the tests, and modules that wait for it are
//! restarted. Then modules are asked to end.

use bareflow_abi::events::Kind;
use bareflow_loader::{EventFault, EventsRun, ExecuteError, ModuleId, ModuleManager, Name, Platform, Version};

use crate::Run;
use crate::console::{Console, Style};
use crate::figures::Microseconds;

/// The time that a module has to end when it is asked to, in milliseconds.
pub const END_TIMEOUT_MS: u64 = 2000;

/// Returns whether a module that was asked to end is done with that: its task has ended, its handler has returned, or no
/// handler is called any more. `None` if it does not handle that.
pub fn has_complied<P: Platform>(manager: &ModuleManager<P>, id: ModuleId) -> Option<bool> {
    let (mut is_pending, mut is_awaited) = (None, false);
    manager.for_each_event(id, |event| {
        is_awaited |= event.is_awaited;
        if event.kind == Kind::Stop {
            is_pending = Some(event.is_pending);
        }
    });
    let is_out_of_use = || manager.stats(id).is_none_or(|profile| profile.stopped || profile.retired);
    is_pending.map(|pending| manager.has_ended(id) || !(pending || is_awaited) || is_out_of_use())
}

/// Reports whether a module ended when it was asked to.
pub fn show_end(console: &impl Console, name: &Name, version: &Version, has_ended: bool) {
    if has_ended {
        console.show(Style::Good, format_args!("[OK]"));
        line!(console, Plain, " Module ended as it was asked to: {name} {version}");
    } else {
        let late = format_args!("did not end within {END_TIMEOUT_MS} ms of being asked to");
        line!(console, Warning, "[WARN] {name} {version} {late}, so it goes without");
    }
}

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
            let run = self.call_handlers();
            called += run.called;
            // After the handlers: what one of them called may have faulted.
            let restart_us = self.manager.restart_due();
            let mut is_changed = run.fault.is_some();
            while let Some(notice) = self.manager.take_notice() {
                line!(self.console, Plain, "  {notice}");
                is_changed = true;
            }
            if !is_changed && !run.has_more {
                let Some(due_us) = run.next_due_us.into_iter().chain(restart_us).min() else { break };
                if let wait_us @ 1.. = due_us.min(end_us).saturating_sub(now_us) {
                    (self.plan.sleep)(wait_us);
                }
            }
        }
        self.console.show(Style::Good, format_args!("  [OK]"));
        line!(self.console, Plain, " {called} calls of handlers");
        self.end_modules();
        line!(self.console);
    }

    /// Calls some handlers, and shows the fault of one.
    fn call_handlers(&mut self) -> EventsRun {
        let run = self.manager.run_events(CALLED_AT_ONCE);
        if let Some(EventFault { module, fault }) = run.fault {
            let name = self.manager.load_of(module).map(|(name, _)| name);
            let name = name.as_ref().map_or("", |name| name.as_str());
            self.show_error(name, module, &ExecuteError::Faulted(fault));
        }
        run
    }

    /// Asks all modules to end that handle it, and runs events until they have, or their time is over.
    fn end_modules(&mut self) {
        let manager = self.manager;
        let is_asked = |id: &ModuleId| manager.request_stop(*id);
        if manager.ids().filter(is_asked).count() == 0 {
            return;
        }
        let microseconds = || manager.platform().microseconds().unwrap_or(u64::MAX);
        let end_us = microseconds().saturating_add(END_TIMEOUT_MS * 1000);
        while manager.ids().any(|id| has_complied(manager, id) == Some(false)) && microseconds() < end_us {
            let run = self.call_handlers();
            if run.called == 0 {
                (self.plan.sleep)(run.next_due_us.unwrap_or(end_us).min(end_us).saturating_sub(microseconds()));
            }
        }
        for id in manager.ids() {
            if let (Some(has_ended), Some(profile)) = (has_complied(manager, id), manager.stats(id)) {
                show_end(self.console, &profile.name, &profile.version, has_ended);
            }
        }
    }
}
