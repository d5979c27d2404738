//! The events of a module, for people.

use bareflow_abi::events::{Events, Kind, MAX_EVENT_NAME, MAX_EVENTS};
use bareflow_abi::header::NAME_SIZE;

use crate::manager::ModuleManager;
use crate::module::ModuleId;
use crate::platform::Platform;
use crate::registry::events::{EventCounts, NEVER};

/// The length of an event's name and its source together, in bytes: `module.notification`.
const MAX_TEXTS: usize = MAX_EVENT_NAME + NAME_SIZE + MAX_EVENT_NAME;

/// An event that a module handles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventDetails<'text> {
    /// The event's name.
    pub name: &'text str,
    /// The kind.
    pub kind: Kind,
    /// The notification that a subscription is for, `module.notification`; empty for other kinds.
    pub source: &'text str,
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
    /// Passes each event that a module handles to `look`, in order. If that ends the module, it sees no more of them.
    pub fn for_each_event(&self, id: ModuleId, mut look: impl FnMut(EventDetails<'_>)) {
        let mut texts = [0; MAX_TEXTS];
        for number in 0..MAX_EVENTS {
            let Some(event) = self.event(id, number, &mut texts) else { return };
            look(event);
        }
    }

    /// Returns the event with this number of a module. Its texts are copied to `texts`, so that nothing stays borrowed.
    fn event<'text>(
        &self,
        id: ModuleId,
        number: usize,
        texts: &'text mut [u8; MAX_TEXTS],
    ) -> Option<EventDetails<'text>> {
        let module = self.get(id)?;
        let interfaces = module.metadata.interfaces()?;
        let declared = Events::new(interfaces.events_record()).handled().nth(number)?;
        let mut rest = texts.as_mut_slice();
        let mut copy = |text: &str| -> Option<&'text str> {
            let (copied, others) = core::mem::take(&mut rest).split_at_mut_checked(text.len())?;
            copied.copy_from_slice(text.as_bytes());
            rest = others;
            core::str::from_utf8(copied).ok()
        };
        let (name, source) = (copy(declared.name)?, copy(declared.source)?);
        self.with_events_of(interfaces, |table, slot| {
            let slot = table.slot(slot)?;
            let event = slot.events.get(number)?;
            Some(EventDetails {
                name,
                kind: declared.kind,
                source,
                due_us: (event.due_us != NEVER).then_some(event.due_us),
                period_us: event.period_us,
                is_pending: slot.pending & 1 << number != 0,
                is_awaited: slot.awaited.is_some_and(|awaited| awaited & 1 << number != 0),
            })
        })?
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

    /// Asks a module to end, if it handles that: its stop event is pending from now on. Returns whether it does; a task that
    /// has ended does not, nor does a module that is stopped.
    pub fn request_stop(&self, id: ModuleId) -> bool {
        let asked = || {
            let module = self.get(id)?;
            self.with_events_of(module.metadata.interfaces()?, |table, slot| {
                let found = table.slot(slot).filter(|slot| slot.may_be_called())?;
                let stop = found.events.iter().position(|event| event.kind == Kind::Stop)?;
                table.change(slot, |slot| slot.pending |= 1 << stop)
            })?
        };
        asked().is_some()
    }
}
