//! The callers that have something, and their end: nothing says that a module was unloaded but its silence.

use alloc::vec::Vec;

use smoltcp::time::{Duration, Instant};

use super::{Stack, reserved};

/// The most callers.
const MOST: usize = 64;

/// The time between two looks at them, and the looks in a row after which a silent one is gone.
const INTERVAL: Duration = Duration::from_secs(20);
const LOOKS: u8 = 3;

/// The time in which a caller has to say something if another one wants its port.
const HURRY: Duration = Duration::from_secs(3);

/// A caller.
#[derive(Clone, Copy, Debug)]
struct Owner {
    caller: u32,
    /// Whether it made a call since the last look, and the looks since which it made none.
    is_heard: bool,
    silent: u8,
}

/// The callers.
#[derive(Debug)]
pub struct Owners {
    all: Vec<Owner>,
    check_at: Option<Instant>,
    /// Whether the next look is to be soon, and whether it is.
    is_in_a_hurry: bool,
    is_near: bool,
}

impl Owners {
    /// Makes a list with room for all; `None` if there is no memory.
    pub fn new() -> Option<Owners> {
        Some(Owners { all: reserved(MOST)?, check_at: None, is_in_a_hurry: false, is_near: false })
    }

    /// Notes a call.
    pub fn hear(&mut self, caller: u32) {
        if let Some(owner) = self.find(caller) {
            (owner.is_heard, owner.silent) = (true, 0);
        }
    }

    /// Adds a caller that is to have something. Returns whether there is room for it.
    pub fn admit(&mut self, caller: u32) -> bool {
        if self.find(caller).is_some() {
            return true;
        }
        let has_room = self.all.len() < MOST;
        if has_room {
            self.all.push(Owner { caller, is_heard: true, silent: 0 });
        }
        has_room
    }

    /// Gives a caller little time to say something. Returns `false` if the next look is near already, which is not put off: who
    /// asks again each time that it is told of something would put it off for ever.
    pub fn doubt(&mut self, caller: u32) -> bool {
        if self.is_near {
            return false;
        }
        let Some(owner) = self.find(caller) else { return false };
        (owner.is_heard, owner.silent) = (false, LOOKS - 1);
        self.is_in_a_hurry = true;
        true
    }

    /// Returns the time of the next look.
    pub fn check_at(&self) -> Option<Instant> {
        self.check_at
    }

    fn find(&mut self, caller: u32) -> Option<&mut Owner> {
        self.all.iter_mut().find(|owner| owner.caller == caller)
    }
}

impl Stack {
    /// Ends what belongs to callers that are gone. Returns whether callers are to be told that there may be something, so they
    /// say that they are there.
    pub(super) fn look_after_owners(&mut self, now: Instant) -> bool {
        if self.owners.all.is_empty() {
            (self.owners.check_at, self.owners.is_near) = (None, false);
            return false;
        }
        if core::mem::take(&mut self.owners.is_in_a_hurry) {
            (self.owners.check_at, self.owners.is_near) = (Some(now + HURRY), true);
            return true;
        }
        let at = *self.owners.check_at.get_or_insert(now + INTERVAL);
        if now < at {
            return false;
        }
        (self.owners.check_at, self.owners.is_near) = (Some(now + INTERVAL), false);
        let mut is_told = false;
        for index in (0..self.owners.all.len()).rev() {
            let owner = &mut self.owners.all[index];
            owner.silent = if core::mem::take(&mut owner.is_heard) { 0 } else { owner.silent + 1 };
            is_told |= owner.silent > 0;
            let (caller, is_gone) = (owner.caller, owner.silent >= LOOKS);
            if is_gone {
                self.end_all_of(caller);
            }
            if is_gone || !self.has_anything(caller) {
                self.owners.all.swap_remove(index);
            }
        }
        is_told
    }

    /// Returns whether a caller has a listener or a connection.
    fn has_anything(&self, caller: u32) -> bool {
        self.listeners.iter().any(|listener| listener.owner == caller)
            || self.slots.iter().any(|slot| slot.number != 0 && slot.owner == caller)
            || self.lost.iter().any(|(_, owner)| *owner == caller)
    }

    /// Ends all that a caller has.
    pub(super) fn end_all_of(&mut self, caller: u32) {
        for index in (0..self.listeners.len()).rev() {
            if self.listeners[index].owner == caller {
                self.end_listener(index);
            }
        }
        for slot in 0..self.slots.len() {
            if self.slots[slot].number != 0 && self.slots[slot].owner == caller {
                self.leave(slot, true);
            }
        }
        self.lost.retain(|(_, owner)| *owner != caller);
        self.is_changed = true;
    }
}
