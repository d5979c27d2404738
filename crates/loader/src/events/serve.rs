//! The interface `events`, by which modules arm their timers and publish notifications.

use bareflow_abi::events::Kind;
use bareflow_abi::interface::{Frame, Reply, serve};
use bareflow_events::{EventError, Events};

use crate::manager::ModuleManager;
use crate::module::interfaces::Interfaces;
use crate::platform::{Occurrence, Platform};
use crate::registry::events::{ModuleEvents, NEVER};

/// The events of the module that calls.
struct EventsOf<'manager, P: Platform> {
    manager: &'manager ModuleManager<P>,
    caller: &'manager Interfaces<P::Alloc>,
}

impl<P: Platform> ModuleManager<P> {
    /// Calls a method of the interface for the module `caller`.
    pub(crate) fn serve_events(&self, caller: &Interfaces<P::Alloc>, method: u32, frame: &mut Frame<'_>) -> Reply {
        serve::<dyn Events, _>(&mut EventsOf { manager: self, caller }, method, frame)
    }
}

impl<P: Platform> EventsOf<'_, P> {
    fn change<T>(&self, change: impl FnOnce(&mut ModuleEvents<P::Alloc>) -> Option<T>) -> Result<T, EventError> {
        let changed = self.manager.with_events_of(self.caller, |table, slot| table.change(slot, change));
        changed.flatten().flatten().ok_or(EventError::NoSuchEvent)
    }

    /// Arms a timer: it is due after a time, and each time that a period has passed after that.
    fn arm(&self, event: u32, after_us: u64, period_us: u64) -> Result<(), EventError> {
        let due_us = self.now_us().saturating_add(after_us);
        self.change(|slot| {
            let timer = slot.event(event).filter(|event| event.kind == Kind::Timer)?;
            (timer.due_us, timer.period_us) = (due_us, period_us);
            Some(())
        })
    }

    fn now_us(&self) -> u64 {
        self.manager.platform.microseconds().unwrap_or_default()
    }
}

impl<P: Platform> Events for EventsOf<'_, P> {
    fn after(&mut self, event: u32, microseconds: u64) -> Result<(), EventError> {
        self.arm(event, microseconds, 0)
    }

    fn every(&mut self, event: u32, microseconds: u64) -> Result<(), EventError> {
        if microseconds == 0 {
            return Err(EventError::BadInterval);
        }
        self.arm(event, microseconds, microseconds)
    }

    fn cancel(&mut self, event: u32) -> Result<bool, EventError> {
        self.change(|slot| {
            let timer = slot.event(event)?;
            let was_armed = core::mem::replace(&mut timer.due_us, NEVER) != NEVER;
            let was_pending = slot.pending & 1 << event != 0;
            slot.pending &= !(1 << event);
            Some(was_armed || was_pending)
        })
    }

    fn notify(&mut self, notification: u32) -> Result<u32, EventError> {
        let published = self.manager.with_events_of(self.caller, |table, slot| {
            let slot = table.slot(slot)?;
            let (module, name) = (slot.name, *slot.published.get(notification as usize)?);
            Some((module, table.publish(module, name)))
        });
        let (module, subscribers) = published.flatten().ok_or(EventError::NoSuchEvent)?;
        self.manager.platform.trace(&module, Occurrence::Notified(notification));
        Ok(subscribers)
    }

    fn now(&mut self) -> Result<u64, EventError> {
        Ok(self.now_us())
    }
}
