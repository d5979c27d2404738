//! The queue of slots with pending events that may be handled: each has its turn.

use allocator_api2::alloc::Allocator;

use super::module_events::{ModuleEvents, NIL, at};
use crate::module::interfaces::SlotNumber;

/// The queue, whose elements know the next one.
pub(super) struct ReadyQueue {
    first: SlotNumber,
    last: SlotNumber,
    length: usize,
}

impl Default for ReadyQueue {
    fn default() -> ReadyQueue {
        ReadyQueue { first: NIL, last: NIL, length: 0 }
    }
}

impl ReadyQueue {
    /// Returns the slot whose turn it is; no slot has this number if there is none.
    pub const fn first(&self) -> SlotNumber {
        self.first
    }

    pub const fn length(&self) -> usize {
        self.length
    }

    /// Puts a slot with pending events at the end, unless it is in the queue.
    pub fn push<A: Allocator>(&mut self, slots: &mut [ModuleEvents<A>], number: SlotNumber) {
        let Some(slot) = at(slots, number) else { return };
        if slot.is_queued || !slot.may_be_called() || slot.pending == 0 {
            return;
        }
        (slot.is_queued, slot.next) = (true, NIL);
        self.length += 1;
        match at(slots, self.last) {
            Some(last) => last.next = number,
            None => self.first = number,
        }
        self.last = number;
    }

    /// Removes a slot, if it is in the queue.
    pub fn remove<A: Allocator>(&mut self, slots: &mut [ModuleEvents<A>], number: SlotNumber) {
        let Some(slot) = at(slots, number).filter(|slot| slot.is_queued) else { return };
        slot.is_queued = false;
        self.length -= 1;
        let next = core::mem::replace(&mut slot.next, NIL);
        let (mut before, mut current) = (NIL, self.first);
        while current != number {
            let Some(slot) = at(slots, current) else { return };
            (before, current) = (current, slot.next);
        }
        match at(slots, before) {
            Some(slot) => slot.next = next,
            None => self.first = next,
        }
        if self.last == number {
            self.last = before;
        }
    }
}
