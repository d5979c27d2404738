//! The events of all modules: what is due when, what is pending, and who subscribes to what.
//!
//! All memory is reserved when a module is loaded: arming, publishing and handling need none, and what there is to do is
//! bounded, since a word has a bit for each event of a module. Nothing in here calls a module.

mod slot;
mod timers;
mod window;

use allocator_api2::alloc::Allocator;
use allocator_api2::vec::Vec;
use bareflow_abi::events::{Events, Kind};

use crate::module::ModuleId;
use crate::name::Name;
use slot::{NOWHERE, at};
use timers::Timers;
use window::{Interrupted, Window};

pub use slot::EventCounts;
pub(crate) use slot::{NEVER, Slot};

/// The number of the slot with a module's events.
pub(crate) type SlotNumber = u32;

/// A module that waits for a notification.
#[derive(Clone, Copy, Debug)]
struct Subscription {
    /// The module that publishes it, and the notification's name. The list is in this order.
    source: (Name, Name),
    slot: SlotNumber,
    event: u8,
}

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
    slots: Vec<Slot<A>, A>,
    timers: Timers<A>,
    subscriptions: Vec<Subscription, A>,
    /// The first and the last slot in the queue of those with pending events.
    queue: (u32, u32),
    queue_length: usize,
    /// The time that events took of the calls that they interrupted.
    pub window: Window,
    /// The same for each of these calls.
    pub interrupted: Interrupted,
}

impl<A: Allocator + Clone> EventTable<A> {
    /// Creates an empty table.
    pub fn new(allocator: A) -> EventTable<A> {
        EventTable {
            slots: Vec::new_in(allocator.clone()),
            timers: Timers::new(allocator.clone()),
            subscriptions: Vec::new_in(allocator),
            queue: (NOWHERE, NOWHERE),
            queue_length: 0,
            window: Window::default(),
            interrupted: Interrupted::default(),
        }
    }

    /// Adds a module with the events that it declares, which are not active yet; `None` if there is no memory.
    pub fn add(&mut self, module: ModuleId, name: Name, declared: Events<'_>, allocator: &A) -> Option<SlotNumber> {
        let slot = Slot::new(module, name, declared, allocator)?;
        let sources = || declared.handled().zip(0_u8..).filter(|(event, _)| event.kind == Kind::Subscription);
        self.subscriptions.try_reserve(sources().count()).ok()?;
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
                && let (Some(module), Some(name)) = (Name::new(module), Name::new(name))
            {
                let source = (module, name);
                let place = self.subscriptions.partition_point(|other| other.source <= source);
                self.subscriptions.insert(place, Subscription { source, slot: number, event: index });
            }
        }
        Some(number)
    }

    /// Removes a module with its events.
    pub fn remove(&mut self, number: SlotNumber) {
        self.timers.remove(&mut self.slots, number);
        self.unqueue(number);
        self.subscriptions.retain(|subscription| subscription.slot != number);
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
                old.is_active = false;
                old.reset();
            }
            _ => at(&mut self.slots, number).into_iter().for_each(|slot| slot.start(now_us, None)),
        }
        if let Some(before) = before {
            self.unqueue(before);
            self.timers.moved(&mut self.slots, before);
        }
        self.timers.moved(&mut self.slots, number);
        self.queue(number);
    }

    /// Forgets what runs and is pending, before a module is initialised anew. [`start`](Self::start) starts it again.
    pub fn reset(&mut self, number: SlotNumber) {
        self.unqueue(number);
        if let Some(slot) = at(&mut self.slots, number) {
            slot.is_active = false;
            slot.reset();
        }
        self.timers.moved(&mut self.slots, number);
    }

    /// Lets the timers of a module that is stopped stand still, until it is restarted or replaced. What it is notified of
    /// waits.
    pub fn stop(&mut self, number: SlotNumber) {
        self.unqueue(number);
        if let Some(slot) = at(&mut self.slots, number) {
            slot.is_stopped = true;
            slot.note_next();
        }
        self.timers.moved(&mut self.slots, number);
    }

    /// Returns the slot of a module's events, as long as it has one.
    pub fn slot(&self, number: SlotNumber) -> Option<&Slot<A>> {
        self.slots.get(number as usize).filter(|slot| slot.module.is_some())
    }

    /// Passes the slot of a module's events to `change`, and takes note of what is due then.
    pub fn change<T>(&mut self, number: SlotNumber, change: impl FnOnce(&mut Slot<A>) -> T) -> Option<T> {
        let slot = at(&mut self.slots, number).filter(|slot| slot.module.is_some())?;
        let changed = change(slot);
        let before = slot.next_due_us;
        slot.note_next();
        if slot.next_due_us != before {
            self.timers.moved(&mut self.slots, number);
        }
        self.queue(number);
        Some(changed)
    }

    /// Makes a notification pending at all who subscribe to it. Returns their number.
    pub fn publish(&mut self, module: Name, notification: Name) -> u32 {
        let source = (module, notification);
        let mut number = self.subscriptions.partition_point(|subscription| subscription.source < source);
        let mut count = 0;
        while let Some(&Subscription { slot, event, .. }) =
            self.subscriptions.get(number).filter(|subscription| subscription.source == source)
        {
            if let Some(slot) = at(&mut self.slots, slot).filter(|slot| slot.is_active && !slot.has_ended) {
                slot.pending |= 1 << event;
                count += 1;
            }
            self.queue(slot);
            number += 1;
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
            self.queue(number);
        }
    }

    /// Returns the time at which the next timer is due; `None` if there is none.
    pub fn next_due_us(&self) -> Option<u64> {
        let slot = self.slots.get(self.timers.first()? as usize)?;
        Some(slot.next_due_us).filter(|&due| due != NEVER)
    }

    /// Returns the number of modules with pending events that may be handled.
    pub const fn queue_length(&self) -> usize {
        self.queue_length
    }

    /// Takes pending events of the module whose turn it is. Those of one function are taken together.
    pub fn take(&mut self) -> Option<Taken> {
        let number = self.queue.0;
        self.unqueue(number);
        let slot = at(&mut self.slots, number)?;
        let ((function, events), module) = (slot.take()?, slot.module?);
        let since_us = core::mem::replace(&mut slot.pending_since_us, NEVER);
        // The others behind those of other modules.
        self.queue(number);
        Some(Taken { slot: number, module, function, events, since_us })
    }

    /// Takes back that events were taken; they are pending again. `retry`: their turn comes again without more ado.
    pub fn put_back(&mut self, taken: Taken, retry: bool) {
        let Some(slot) = at(&mut self.slots, taken.slot).filter(|slot| slot.module == Some(taken.module)) else {
            return;
        };
        slot.pending |= taken.events;
        slot.pending_since_us = slot.pending_since_us.min(taken.since_us);
        if retry { self.queue(taken.slot) } else { self.unqueue(taken.slot) }
    }

    /// Puts a slot with pending events at the end of the queue, unless it is there.
    pub fn queue(&mut self, number: SlotNumber) {
        let last = self.queue.1;
        let Some(slot) = at(&mut self.slots, number) else { return };
        if slot.is_queued || !slot.may_be_called() || slot.pending == 0 {
            return;
        }
        (slot.is_queued, slot.next) = (true, NOWHERE);
        self.queue_length += 1;
        match at(&mut self.slots, last) {
            Some(last) => last.next = number,
            None => self.queue.0 = number,
        }
        self.queue.1 = number;
    }

    fn unqueue(&mut self, number: SlotNumber) {
        let Some(slot) = at(&mut self.slots, number).filter(|slot| slot.is_queued) else { return };
        slot.is_queued = false;
        self.queue_length -= 1;
        let next = core::mem::replace(&mut slot.next, NOWHERE);
        let mut before = (NOWHERE, self.queue.0);
        while before.1 != number {
            let Some(slot) = at(&mut self.slots, before.1) else { return };
            before = (before.1, slot.next);
        }
        match at(&mut self.slots, before.0) {
            Some(slot) => slot.next = next,
            None => self.queue.0 = next,
        }
        if self.queue.1 == number {
            self.queue.1 = before.0;
        }
    }
}

#[cfg(test)]
mod tests;
