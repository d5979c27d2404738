//! The part that outlasts a stack: listeners, and the numbers of connections.

use super::listeners::Listener;
use super::{LISTENERS, MOST_CONNECTIONS, Stack};
use crate::Kept;

impl Stack {
    /// Writes what another stack takes over, if that has changed.
    pub fn keep(&mut self, kept: &mut Kept) {
        if !core::mem::take(&mut self.is_changed) {
            return;
        }
        kept.next_number = self.next_number;
        kept.listeners = [[0; 4]; LISTENERS];
        for (place, listener) in kept.listeners.iter_mut().zip(&self.listeners) {
            *place = [listener.number, listener.owner, u32::from(listener.port), listener.backlog as u32];
        }
        kept.connections = [[0; 2]; MOST_CONNECTIONS];
        let owned = self.slots.iter().filter(|slot| slot.number != 0).map(|slot| (slot.number, slot.owner));
        for (place, (number, owner)) in kept.connections.iter_mut().zip(owned.chain(self.lost.iter().copied())) {
            *place = [number, owner];
        }
    }

    /// Takes over what another stack kept.
    pub(super) fn take_over(&mut self, kept: &Kept) {
        for &[number, owner, port, backlog] in kept.listeners.iter().filter(|[number, ..]| *number != 0) {
            if self.owners.admit(owner) {
                let backlog = (backlog as usize).min(self.most_waiting());
                self.listeners.push(Listener::new(number, owner, port as u16, backlog));
            }
        }
        for &[number, owner] in kept.connections.iter().filter(|[number, _]| *number != 0) {
            if self.owners.admit(owner) {
                self.lost.push((number, owner));
            }
        }
    }
}
