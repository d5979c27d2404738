//! The events of all modules: what is due when, what is pending, and who subscribes to what.
//!
//! All memory is reserved when a module is loaded: arming, publishing and handling need none, and what there is to do is
//! bounded, since a word has a bit for each event of a module. Nothing in here calls a module.

mod module_events;
mod ready_queue;
mod steal;
mod subscriptions;
mod timers;
mod window;

use allocator_api2::alloc::Allocator;
use allocator_api2::vec::Vec;
use bareflow_abi::events::{Events, Kind};

use crate::module::ModuleId;
use crate::module::interfaces::SlotNumber;
use crate::name::Name;
use module_events::at;
use ready_queue::ReadyQueue;
use steal::StolenTime;
use subscriptions::Subscriptions;
use timers::Timers;
use window::Window;

pub use module_events::EventCounts;
pub(crate) use module_events::{ModuleEvents, NEVER};

/// Pending events of a module, taken to be handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    pub slot: SlotNumber,
    pub module: ModuleId,
    /// The number of the function that handles them; `None` for a watchdog.
    pub function: Option<u16>,
    /// A bit for each.
    pub events: u64,
    /// The time since which the first timer among them is due.
    pub since_us: u64,
}

/// The events of all modules.
pub(crate) struct EventTable<A: Allocator> {
    slots: Vec<ModuleEvents<A>, A>,
    timers: Timers<A>,
    subscriptions: Subscriptions<A>,
    ready: ReadyQueue,
    /// The time that events took of the calls that they interrupted.
    pub window: Window,
    /// The same for each of these calls.
    pub stolen: StolenTime,
}

impl<A: Allocator + Clone> EventTable<A> {
    /// Creates an empty table.
    pub fn new(allocator: A) -> EventTable<A> {
        EventTable {
            slots: Vec::new_in(allocator.clone()),
            timers: Timers::new(allocator.clone()),
            subscriptions: Subscriptions::new(allocator),
            ready: ReadyQueue::default(),
            window: Window::default(),
            stolen: StolenTime::default(),
        }
    }

    /// Adds a module with the events that it declares, which are not active yet; `None` if there is no memory. `known_as`
    /// says which module it means by a name.
    pub fn add(
        &mut self,
        module: ModuleId,
        name: Name,
        declared: Events<'_>,
        known_as: &dyn Fn(&str) -> Option<Name>,
        allocator: &A,
    ) -> Option<SlotNumber> {
        let slot = ModuleEvents::new(module, name, declared, allocator)?;
        let sources = || declared.handled().zip(0_u8..).filter(|(event, _)| event.kind == Kind::Subscription);
        self.subscriptions.reserve(sources().count())?;
        self.timers.reserve()?;
        let free = self.slots.iter().position(|slot| slot.module.is_none());
        let number = match free {
            Some(free) => free,
            None => {
                self.slots.try_reserve(1).ok()?;
                self.slots.len()
            }
        };
        match self.slots.get_mut(number) {
            Some(target) => *target = slot,
            None => self.slots.push(slot),
        }
        let number = number as SlotNumber;
        self.timers.add(&mut self.slots, number);
        for (event, index) in sources() {
            if let Some((module, name)) = event.source_parts()
                && let (Some(module), Some(name)) = (known_as(module), Name::new(name))
            {
                self.subscriptions.add((module, name), number, index);
            }
        }
        Some(number)
    }

    /// Removes a module with its events.
    pub fn remove(&mut self, number: SlotNumber) {
        self.timers.remove(&mut self.slots, number);
        self.ready.remove(&mut self.slots, number);
        self.subscriptions.remove(number);
        if let Some(slot) = at(&mut self.slots, number) {
            slot.clear();
        }
    }
}

impl<A: Allocator> EventTable<A> {
    /// Makes a module's events active. It goes on with those of `before`, which it replaces and which end.
    pub fn start(&mut self, number: SlotNumber, now_us: u64, before: Option<SlotNumber>) {
        match before.map(|before| self.slots.get_disjoint_mut([number as usize, before as usize])) {
            Some(Ok([slot, old])) => {
                slot.start(now_us, Some(old));
            }
            _ => at(&mut self.slots, number).into_iter().for_each(|slot| slot.start(now_us, None)),
        }
        if let Some(before) = before {
            self.end(before);
        }
        self.timers.moved(&mut self.slots, number);
        self.ready.push(&mut self.slots, number);
    }

    /// Forgets what runs, before a module is initialised anew. What it is notified of waits. [`start`](Self::start) starts
    /// it again.
    pub fn reset(&mut self, number: SlotNumber) {
        self.suspend(number, |slot| {
            slot.is_stopped = true;
            slot.reset();
        });
    }

    /// Lets the timers of a module that is stopped stand still, until it is restarted or replaced. What it is notified of
    /// waits.
    pub fn stop(&mut self, number: SlotNumber) {
        self.suspend(number, |slot| slot.is_stopped = true);
    }

    /// Makes the events of a module that is replaced inactive, for good.
    pub fn end(&mut self, number: SlotNumber) {
        self.suspend(number, |slot| {
            slot.is_active = false;
            slot.reset();
        });
    }

    /// Takes a slot out of the queue, and passes it to `change`, after which no handler may be called.
    fn suspend(&mut self, number: SlotNumber, change: impl FnOnce(&mut ModuleEvents<A>)) {
        self.ready.remove(&mut self.slots, number);
        if let Some(slot) = at(&mut self.slots, number) {
            change(slot);
            slot.note_next();
        }
        self.timers.moved(&mut self.slots, number);
    }

    /// Returns the slot of a module's events, as long as it has one.
    pub fn slot(&self, number: SlotNumber) -> Option<&ModuleEvents<A>> {
        self.slots.get(number as usize).filter(|slot| slot.module.is_some())
    }

    /// Passes the slot of a module's events to `change`, and takes note of what is due then.
    pub fn change<T>(&mut self, number: SlotNumber, change: impl FnOnce(&mut ModuleEvents<A>) -> T) -> Option<T> {
        let slot = at(&mut self.slots, number).filter(|slot| slot.module.is_some())?;
        let changed = change(slot);
        let before = slot.next_due_us;
        slot.note_next();
        if slot.next_due_us != before {
            self.timers.moved(&mut self.slots, number);
        }
        self.ready.push(&mut self.slots, number);
        Some(changed)
    }

    /// Makes a notification pending at all who subscribe to it. Returns their number.
    pub fn publish(&mut self, module: Name, notification: Name) -> u32 {
        let mut count = 0;
        for (number, event) in self.subscriptions.of((module, notification)) {
            if let Some(slot) = at(&mut self.slots, number).filter(|slot| slot.is_active && !slot.has_ended) {
                slot.pending |= 1 << event;
                count += 1;
            }
            self.ready.push(&mut self.slots, number);
        }
        count
    }

    /// Makes pending what is due at `now_us`.
    pub fn expire(&mut self, now_us: u64) {
        // What is never due is not due then either.
        let now_us = now_us.min(NEVER - 1);
        while let Some(number) = self.timers.first() {
            match at(&mut self.slots, number) {
                Some(slot) if slot.next_due_us <= now_us => slot.expire(now_us),
                _ => return,
            }
            self.timers.moved(&mut self.slots, number);
            self.ready.push(&mut self.slots, number);
        }
    }

    /// Returns the time at which the next timer is due; `None` if there is none.
    pub fn next_due_us(&self) -> Option<u64> {
        let slot = self.slots.get(self.timers.first()? as usize)?;
        Some(slot.next_due_us).filter(|&due| due != NEVER)
    }

    /// Returns the number of modules with pending events that may be handled.
    pub const fn ready_count(&self) -> usize {
        self.ready.length()
    }

    /// Takes pending events of the module whose turn it is. Those of one function are taken together.
    pub fn take(&mut self) -> Option<Taken> {
        let number = self.ready.first();
        self.ready.remove(&mut self.slots, number);
        let slot = at(&mut self.slots, number)?;
        let ((function, events), module) = (slot.take()?, slot.module?);
        let since_us = core::mem::replace(&mut slot.pending_since_us, NEVER);
        // The others wait for their next turn.
        self.ready.push(&mut self.slots, number);
        Some(Taken { slot: number, module, function, events, since_us })
    }

    /// Takes back that events were taken; they are pending again. `retry`: their turn comes again without more ado.
    pub fn put_back(&mut self, taken: Taken, retry: bool) {
        let Some(slot) = at(&mut self.slots, taken.slot).filter(|slot| slot.module == Some(taken.module)) else {
            return;
        };
        slot.pending |= taken.events;
        slot.pending_since_us = slot.pending_since_us.min(taken.since_us);
        match retry {
            true => self.ready.push(&mut self.slots, taken.slot),
            false => self.ready.remove(&mut self.slots, taken.slot),
        }
    }
}

#[cfg(test)]
mod tests;
