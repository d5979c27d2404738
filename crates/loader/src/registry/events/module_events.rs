//! The events of one module: its timers, and what is pending.

use allocator_api2::alloc::Allocator;
use allocator_api2::vec::Vec;
use bareflow_abi::events::{Events, Kind};

use crate::module::ModuleId;
use crate::module::interfaces::SlotNumber;
use crate::name::Name;

/// The time at which nothing is due.
pub(crate) const NEVER: u64 = u64::MAX;

/// The number of no slot, and the place of one that has none.
pub(super) const NIL: u32 = u32::MAX;

/// An event that a module handles.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    pub name: Name,
    pub kind: Kind,
    pub at_start: bool,
    /// The number of the function that handles it.
    pub function: u16,
    /// The period that the module declares, in microseconds; 0 for none.
    pub declared_us: u64,
    /// The period of the timer as it runs, in microseconds; 0 if it is due once.
    pub period_us: u64,
    /// The time at which it is due, in microseconds.
    pub due_us: u64,
}

/// Counts of what happened to a module's events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventCounts {
    /// The number of calls of handlers.
    pub handled: u64,
    /// The number of periods that passed without a call of their own.
    pub missed: u64,
    /// The number of timers whose handlers began more than a millisecond after they were due.
    pub late: u64,
    /// The longest time from due to the handler's begin, in microseconds.
    pub longest_delay_us: u64,
}

impl Event {
    /// Returns the number of the function that handles it, if one does.
    pub fn handler(&self) -> Option<u16> {
        self.kind.has_handler().then_some(self.function)
    }
}

/// The events of one module.
pub(crate) struct ModuleEvents<A: Allocator> {
    /// The module; `None` if the slot is free.
    pub module: Option<ModuleId>,
    pub name: Name,
    pub events: Vec<Event, A>,
    pub published: Vec<Name, A>,
    /// The events that are due and not handled yet: a bit for each.
    pub pending: u64,
    /// The time since which one of them is due, for its delay; `NEVER` if none is a timer.
    pub pending_since_us: u64,
    /// Whether they are handled. Those of a module that can't be found by its name yet are not.
    pub is_active: bool,
    /// Whether the module is stopped: what it is notified of waits, and its timers stand still.
    pub is_stopped: bool,
    /// Whether the module has ended, as a task does.
    pub has_ended: bool,
    /// The events that a task awaits; `None` if the module says nothing.
    pub awaited: Option<u64>,
    pub counts: EventCounts,
    /// The time at which the first of its timers is due.
    pub next_due_us: u64,
    /// The place among the timers.
    pub(super) place: u32,
    /// Whether it is in the queue of slots with pending events, and the next one there.
    pub(super) is_queued: bool,
    pub(super) next: SlotNumber,
}

/// Returns the slot with this number.
pub(super) fn at<A: Allocator>(slots: &mut [ModuleEvents<A>], number: SlotNumber) -> Option<&mut ModuleEvents<A>> {
    slots.get_mut(number as usize)
}

impl<A: Allocator + Clone> ModuleEvents<A> {
    /// Makes the slot free, and gives its memory back.
    pub fn clear(&mut self) {
        (self.module, self.is_active, self.pending, self.next_due_us) = (None, false, 0, NEVER);
        self.events = Vec::new_in(self.events.allocator().clone());
        self.published = Vec::new_in(self.published.allocator().clone());
    }

    /// Creates the slot of a module that declares `declared`; `None` if there is no memory.
    pub fn new(module: ModuleId, name: Name, declared: Events<'_>, allocator: &A) -> Option<ModuleEvents<A>> {
        let mut events = Vec::new_in(allocator.clone());
        events.try_reserve_exact(declared.handled().count()).ok()?;
        let mut published = Vec::new_in(allocator.clone());
        published.try_reserve_exact(declared.published().count()).ok()?;
        // The names of events in a valid record are names of modules, too.
        events.extend(declared.handled().filter_map(|event| {
            Some(Event {
                name: Name::new(event.name)?,
                kind: event.kind,
                at_start: event.at_start,
                function: event.function,
                declared_us: event.period_us,
                period_us: 0,
                due_us: NEVER,
            })
        }));
        published.extend(declared.published().filter_map(|event| Name::new(event.name)));
        Some(ModuleEvents {
            module: Some(module),
            name,
            events,
            published,
            pending: 0,
            pending_since_us: NEVER,
            is_active: false,
            is_stopped: false,
            has_ended: false,
            awaited: None,
            counts: EventCounts::default(),
            next_due_us: NEVER,
            place: NIL,
            is_queued: false,
            next: NIL,
        })
    }
}

impl<A: Allocator> ModuleEvents<A> {
    /// Returns the bytes of memory that are this module's alone.
    pub fn table_bytes(&self) -> u64 {
        (self.events.len() * size_of::<Event>() + self.published.len() * size_of::<Name>()) as u64
    }

    /// Returns the event with this number, if the module itself may change when it is due: its watchdog is not its own.
    pub fn event(&mut self, number: u32) -> Option<&mut Event> {
        self.events.get_mut(number as usize).filter(|event| event.kind != Kind::Watchdog)
    }

    /// Starts what the module declares: timers with a period, and what is due at its start. What runs already, since its
    /// `init` started it, goes on; so does what `before`, the module that it replaces, left. A watchdog of that one's starts
    /// anew, since it was not this module that it waited for; nor was this one asked to end.
    pub fn start(&mut self, now_us: u64, before: Option<&ModuleEvents<A>>) {
        (self.is_active, self.is_stopped) = (true, false);
        for (event, bit) in self.events.iter_mut().zip(0..) {
            let mut old = before.into_iter().flat_map(|before| before.events.iter().zip(0..));
            let is_carried_over = |old: &Event| {
                old.name == event.name && old.kind == event.kind && !matches!(old.kind, Kind::Watchdog | Kind::Stop)
            };
            let old = old.find(|(old, _)| is_carried_over(old));
            let was_pending = before.zip(old).is_some_and(|(before, (_, bit))| before.pending & 1 << bit != 0);
            if event.at_start || was_pending {
                self.pending |= 1 << bit;
            }
            if event.due_us != NEVER || !event.kind.is_timed() {
                continue;
            }
            match old.filter(|(old, _)| old.due_us != NEVER && old.declared_us == event.declared_us) {
                Some((old, _)) => (event.due_us, event.period_us) = (old.due_us, old.period_us),
                None if event.declared_us != 0 => {
                    (event.due_us, event.period_us) = (now_us.saturating_add(event.declared_us), event.declared_us);
                }
                None => {}
            }
        }
        self.note_next();
    }

    /// Forgets timers, as a restart of the module does; it gets the notifications that it did not handle yet.
    pub fn reset(&mut self) {
        let mut kept = 0;
        for (event, bit) in self.events.iter_mut().zip(0..) {
            event.due_us = NEVER;
            kept |= u64::from(!event.kind.is_timed()) << bit;
        }
        self.pending &= kept;
        (self.pending_since_us, self.has_ended, self.awaited) = (NEVER, false, None);
        self.note_next();
    }

    /// Notes that the module has ended: nothing is handled any more.
    pub fn end(&mut self) {
        self.reset();
        (self.pending, self.has_ended) = (0, true);
    }

    /// Makes pending what is due at `now_us`.
    pub fn expire(&mut self, now_us: u64) {
        for (event, bit) in self.events.iter_mut().zip(0..) {
            if event.due_us > now_us {
                continue;
            }
            self.pending_since_us = self.pending_since_us.min(event.due_us);
            let was_pending = self.pending & 1 << bit != 0;
            self.pending |= 1 << bit;
            event.due_us = match event.period_us {
                0 => NEVER,
                period => {
                    let passed = (now_us - event.due_us) / period;
                    self.counts.missed += passed + u64::from(was_pending);
                    // Less than a period ahead, and never for a period that is never over.
                    event.due_us.saturating_add((passed + 1).saturating_mul(period))
                }
            };
        }
        self.note_next();
    }

    /// Notes when the first timer is due. Nothing is while no handler may be called.
    pub fn note_next(&mut self) {
        let first = self.events.iter().map(|event| event.due_us).min().unwrap_or(NEVER);
        self.next_due_us = if self.may_be_called() { first } else { NEVER };
    }

    /// Returns whether handlers of the module are called, as soon as it does not run.
    pub const fn may_be_called(&self) -> bool {
        self.is_active && !self.is_stopped && !self.has_ended
    }

    /// Takes the first pending event with all others of its function. Returns the function's number, which is none of a
    /// watchdog, and a bit for each.
    pub fn take(&mut self) -> Option<(Option<u16>, u64)> {
        let first = self.events.get(self.pending.trailing_zeros() as usize)?;
        let function = first.handler();
        let same = |(event, bit): (&Event, u32)| (event.handler() == function).then_some(1 << bit);
        let taken = self.pending & self.events.iter().zip(0..).filter_map(same).sum::<u64>();
        self.pending &= !taken;
        Some((function, taken))
    }

    /// Returns whether a function polls a task: it handles an event that is due at the start, which others do not have.
    pub fn is_polled_by(&self, function: Option<u16>) -> bool {
        self.events.iter().any(|event| event.at_start && event.handler() == function)
    }

    /// Lets the watchdogs that run start anew, since a handler returned at `now_us`: also one that was due, but waited for
    /// a call of the module to end.
    pub fn feed_watchdogs(&mut self, now_us: u64) {
        for (event, bit) in self.events.iter_mut().zip(0..) {
            if event.kind == Kind::Watchdog && event.due_us != NEVER {
                event.due_us = now_us.saturating_add(event.declared_us);
                self.pending &= !(1 << bit);
            }
        }
    }

    /// Counts a call of a handler that began at `now_us` for events of which the first was due at `since_us`.
    pub fn count(&mut self, now_us: u64, since_us: u64) {
        self.counts.handled += 1;
        if since_us != NEVER {
            let delay = now_us.saturating_sub(since_us);
            self.counts.longest_delay_us = self.counts.longest_delay_us.max(delay);
            self.counts.late += u64::from(delay > LATE_US);
        }
    }
}

/// The delay from which on an event is counted as late, in microseconds.
const LATE_US: u64 = 1000;
