//! The order in which slots of events are due: a binary heap whose elements know their places, so that one can move.

use allocator_api2::alloc::Allocator;
use allocator_api2::vec::Vec;

use super::module_events::{ModuleEvents, NIL, at};
use crate::module::interfaces::SlotNumber;

/// The numbers of slots in a heap by [`ModuleEvents::next_due_us`]. Each has a place in it, also if nothing in it is due.
pub(super) struct Timers<A: Allocator>(Vec<SlotNumber, A>);

impl<A: Allocator> Timers<A> {
    pub fn new(allocator: A) -> Timers<A> {
        Timers(Vec::new_in(allocator))
    }

    /// Makes room for one more; `None` if there is no memory.
    pub fn reserve(&mut self) -> Option<()> {
        self.0.try_reserve(1).ok()
    }

    /// Adds a slot, for which there is room.
    pub fn add(&mut self, slots: &mut [ModuleEvents<A>], number: SlotNumber) {
        let place = self.0.len();
        self.0.push(number);
        self.put(slots, place, number);
        self.up(slots, place);
    }

    /// Removes a slot.
    pub fn remove(&mut self, slots: &mut [ModuleEvents<A>], number: SlotNumber) {
        let place = at(slots, number).map_or(NIL, |slot| core::mem::replace(&mut slot.place, NIL));
        if place as usize >= self.0.len() {
            return;
        }
        self.0.swap_remove(place as usize);
        if let Some(&moved) = self.0.get(place as usize) {
            self.put(slots, place as usize, moved);
            self.moved(slots, moved);
        }
    }

    /// Restores the order after a change of the time when a slot is due.
    pub fn moved(&mut self, slots: &mut [ModuleEvents<A>], number: SlotNumber) {
        let Some(place) = at(slots, number).map(|slot| slot.place as usize) else { return };
        self.up(slots, place);
        self.down(slots, place);
    }

    /// Returns the slot that is due first.
    pub fn first(&self) -> Option<SlotNumber> {
        self.0.first().copied()
    }

    fn put(&mut self, slots: &mut [ModuleEvents<A>], place: usize, number: SlotNumber) {
        if let (Some(target), Some(slot)) = (self.0.get_mut(place), at(slots, number)) {
            (*target, slot.place) = (number, place as u32);
        }
    }

    fn due(&self, slots: &[ModuleEvents<A>], place: usize) -> u64 {
        let slot = self.0.get(place).and_then(|&number| slots.get(number as usize));
        slot.map_or(u64::MAX, |slot| slot.next_due_us)
    }

    fn up(&mut self, slots: &mut [ModuleEvents<A>], mut place: usize) {
        while place > 0 && self.due(slots, place) < self.due(slots, (place - 1) / 2) {
            self.swap(slots, place, (place - 1) / 2);
            place = (place - 1) / 2;
        }
    }

    fn down(&mut self, slots: &mut [ModuleEvents<A>], mut place: usize) {
        loop {
            let (left, right) = (2 * place + 1, 2 * place + 2);
            let least = if self.due(slots, right) < self.due(slots, left) { right } else { left };
            if least >= self.0.len() || self.due(slots, least) >= self.due(slots, place) {
                return;
            }
            self.swap(slots, place, least);
            place = least;
        }
    }

    fn swap(&mut self, slots: &mut [ModuleEvents<A>], one: usize, other: usize) {
        if let (Some(&first), Some(&second)) = (self.0.get(one), self.0.get(other)) {
            self.put(slots, other, first);
            self.put(slots, one, second);
        }
    }
}
