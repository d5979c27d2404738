//! The events of a module, for people.

use bareflow_abi::events::{Events, Kind};

use crate::manager::ModuleManager;
use crate::module::ModuleId;
use crate::platform::Platform;
use crate::registry::events::{EventCounts, NEVER};

/// An event that a module handles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventDetails<'record> {
    /// The event's name.
    pub name: &'record str,
    /// The kind.
    pub kind: Kind,
    /// The notification that a subscription is for, `module.notification`; empty for other kinds.
    pub source: &'record str,
    /// The time at which a timer is due, in microseconds of [`Platform::microseconds`]; `None` if it is not armed.
    pub due_us: Option<u64>,
    /// The period of a timer as it runs, in microseconds; 0 if it is due once.
    pub period_us: u64,
    /// Whether it is due, and not handled yet.
    pub is_pending: bool,
    /// Whether the module, a task, said that it waits for it.
    pub is_awaited: bool,
}

impl<P: Platform> ModuleManager<P> {
    /// Passes each event that a module handles to `look`, in order, which may not call the manager.
    pub fn for_each_event(&self, id: ModuleId, mut look: impl FnMut(EventDetails<'_>)) {
        let Some(module) = self.get(id) else { return };
        let Some(interfaces) = module.metadata.interfaces() else { return };
        self.with_events_of(interfaces, |table, slot| {
            let Some(slot) = table.slot(slot) else { return };
            let declared = Events::new(interfaces.events_record()).handled();
            for ((declared, event), bit) in declared.zip(&slot.events).zip(0..) {
                look(EventDetails {
                    name: declared.name,
                    kind: declared.kind,
                    source: declared.source,
                    due_us: (event.due_us != NEVER).then_some(event.due_us),
                    period_us: event.period_us,
                    is_pending: slot.pending & 1 << bit != 0,
                    is_awaited: slot.waits.is_some_and(|waits| waits & 1 << bit != 0),
                });
            }
        });
    }

    /// Returns the counts of a module's events; `None` if it has none.
    #[must_use]
    pub fn event_counts(&self, id: ModuleId) -> Option<EventCounts> {
        let module = self.get(id)?;
        self.with_events_of(module.metadata.interfaces()?, |table, slot| table.slot(slot).map(|slot| slot.counts))?
    }

    /// Returns whether a module is a task that has ended.
    #[must_use]
    pub fn has_ended(&self, id: ModuleId) -> bool {
        let ended = || {
            let module = self.get(id)?;
            self.with_events_of(module.metadata.interfaces()?, |table, slot| {
                table.slot(slot).is_some_and(|slot| slot.has_ended)
            })
        };
        ended().unwrap_or_default()
    }

    /// Asks a module to end, if it handles that: its stop event is pending from now on. Returns whether it does.
    pub fn request_stop(&self, id: ModuleId) -> bool {
        let asked = || {
            let module = self.get(id)?;
            self.with_events_of(module.metadata.interfaces()?, |table, slot| {
                let stop = table.slot(slot)?.events.iter().position(|event| event.kind == Kind::Stop)?;
                table.change(slot, |slot| slot.pending |= 1 << stop)
            })?
        };
        asked().is_some()
    }
}
