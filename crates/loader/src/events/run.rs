//! The run of events: calls of the handlers of what is pending.

use core::sync::atomic::Ordering;

use crate::error::ExecuteError;
use crate::fault::{Fault, FaultKind};
use crate::interfaces::FunctionId;
use crate::manager::ModuleManager;
use crate::module::ModuleId;
use crate::module::lifecycle::ModuleState;
use crate::platform::{Occurrence, Platform};
use crate::policy::EventLimits;
use crate::registry::events::{ModuleEvents, NEVER, Taken};

/// The result of a run of events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventsRun {
    /// The number of handlers that were called.
    pub called: usize,
    /// Whether there are pending events that can be handled at once.
    pub has_more: bool,
    /// The time at which the next timer is due, in microseconds of [`Platform::microseconds`]; `None` if there is none.
    pub next_due_us: Option<u64>,
    /// The fault of the last handler that was called. A run ends with it, so that the embedder can say so.
    pub fault: Option<EventFault>,
}

/// A fault of a handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventFault {
    /// The module. By its policy it may be stopped, or restarted.
    pub module: ModuleId,
    /// The fault.
    pub fault: Fault,
}

/// The run that is under way.
pub(super) struct Run {
    /// Whether it interrupts a call.
    pub interrupts: bool,
    pub result: EventsRun,
}

impl<P: Platform> ModuleManager<P> {
    /// Calls the handlers of up to `at_most` pending events while no call is under way.
    ///
    /// The modules take turns, and each handler gets what is pending for it at once. What can't be handled now, since its
    /// module runs or is stopped, stays pending. Within a handler this does nothing: events do not nest.
    pub fn run_events(&self, at_most: usize) -> EventsRun {
        self.run(at_most, false)
    }

    /// Returns whether there may be something to do for events. It may be asked at any time, in an interrupt as well.
    #[must_use]
    pub fn has_due_events(&self) -> bool {
        let next_us = self.next_event_us.load(Ordering::Relaxed);
        next_us != NEVER && self.platform.microseconds().is_some_and(|now_us| next_us <= now_us)
    }

    pub(super) fn run(&self, at_most: usize, interrupts: bool) -> EventsRun {
        let mut run = Run { interrupts, result: EventsRun::default() };
        if self.events.borrow().is_none() || self.is_running_events.replace(true) {
            return run.result;
        }
        #[cfg(feature = "devices")]
        self.note_interrupts();
        // Each slot is looked at once for each handler that is called: those that must wait end the run.
        let (mut deferred, mut most) = (0, 0);
        while run.result.called < at_most && run.result.fault.is_none() {
            let now_us = self.platform.microseconds().unwrap_or_default();
            let taken = self.with_events(|table| {
                table.expire(now_us);
                // Those that are stopped leave the queue, and those after them keep their turn.
                if deferred == 0 {
                    most = table.ready_count();
                }
                table.take()
            });
            let Some(taken) = taken.flatten() else { break };
            if self.handle(&mut run, taken, now_us) {
                deferred = 0;
                continue;
            }
            deferred += 1;
            if deferred >= most {
                break;
            }
        }
        self.is_running_events.set(false);
        let left = self.with_events(|table| (table.ready_count(), table.next_due_us()));
        let (ready, next_due_us) = left.unwrap_or_default();
        EventsRun { has_more: ready > 0 && deferred == 0, next_due_us, ..run.result }
    }

    /// Calls the handler of events that were taken. Returns whether they were handled; otherwise they are pending again.
    fn handle(&self, run: &mut Run, taken: Taken, now_us: u64) -> bool {
        let put_back = |retry| {
            self.with_events(|table| table.put_back(taken, retry));
            false
        };
        if run.interrupts && !self.may_interrupt(taken.module) {
            return put_back(true);
        }
        let Some(function) = taken.function else {
            let state = self.get(taken.module).map(|module| module.lifecycle.state());
            // A call under way is ended by its budget.
            if state != Some(ModuleState::Live) {
                return put_back(state == Some(ModuleState::Running));
            }
            self.trace_due(&taken);
            run.result.fault = self.expire_watchdog(taken.module);
            run.result.called += 1;
            return true;
        };
        let restarts = self.trace_due(&taken);
        let function = FunctionId { module: taken.module, number: function.into(), shape: None };
        let mut awaited = [0; 8];
        let executed = self.one_deeper(|| {
            self.platform.call_within(EventLimits::DEFAULT, || {
                self.execute_function(function, &taken.events.to_le_bytes(), &mut awaited)
            })
        });
        match executed {
            // A call has ended by the next time.
            None => return put_back(true),
            Some(Err(ExecuteError::Busy | ExecuteError::NoMemory | ExecuteError::ProfileFull)) => {
                return put_back(true);
            }
            Some(Err(ExecuteError::Stopped(_) | ExecuteError::Waiting { .. })) => return put_back(false),
            // The module was replaced or unloaded; its slot is gone, or goes with it.
            Some(Err(ExecuteError::NotLoaded | ExecuteError::NoRun)) => return put_back(false),
            Some(Err(ExecuteError::Faulted(fault))) => {
                run.result.fault = Some(EventFault { module: taken.module, fault });
            }
            // What was restarted after the call is another task already.
            Some(Ok(done)) if done.outcome.output_length == awaited.len() && self.restarts(&taken) == restarts => {
                let has_ended = done.outcome.result == ENDED;
                self.change_taken(&taken, |slot| {
                    if !slot.is_polled_by(taken.function) {
                        return;
                    }
                    slot.awaited = Some(u64::from_le_bytes(awaited));
                    if has_ended {
                        slot.end();
                    }
                });
            }
            Some(Ok(_)) => {}
        }
        let returned_us = self.platform.microseconds().unwrap_or_default();
        self.change_taken(&taken, |slot| {
            slot.count(now_us, taken.since_us);
            slot.feed_watchdogs(returned_us);
        });
        run.result.called += 1;
        true
    }

    /// Notes that events are due, if their module may be called; what must wait would be noted again and again. Returns
    /// the number of its restarts so far.
    fn trace_due(&self, taken: &Taken) -> Option<u32> {
        let module = self.get(taken.module)?;
        if module.callable().is_ok() {
            self.platform.trace(&module.name, Occurrence::Due(taken.events));
        }
        Some(module.faults.restarts.get())
    }

    fn restarts(&self, taken: &Taken) -> Option<u32> {
        self.get(taken.module).map(|module| module.faults.restarts.get())
    }

    /// Applies the fault policy of a module whose watchdog is due.
    fn expire_watchdog(&self, id: ModuleId) -> Option<EventFault> {
        let module = self.get(id)?;
        let fault = Fault { kind: FaultKind::Watchdog, offset: None, address: None };
        module.faults.note(&module.faults.count, fault, None, self.platform.allocator());
        drop(module);
        self.fail(id);
        Some(EventFault { module: id, fault })
    }

    /// Passes the slot that events were taken from to `change`, unless its module ended meanwhile.
    fn change_taken(&self, taken: &Taken, change: impl FnOnce(&mut ModuleEvents<P::Alloc>)) {
        self.with_events(|table| {
            if table.slot(taken.slot).is_some_and(|slot| slot.module == Some(taken.module)) {
                table.change(taken.slot, change);
            }
        });
    }
}

/// The result of a task's handler with which it ends.
const ENDED: i32 = 1;
