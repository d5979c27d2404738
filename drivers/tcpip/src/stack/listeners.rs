//! The listeners: one socket of each waits for the next connection, as long as there may be one more.
//!
//! If there may not, the oldest connection that is half open gives its socket to the next one. So as many connections as the
//! backlog may be half open, and strangers that never answer hold up no one for longer than they keep asking.

use smoltcp::socket::tcp::State;
use smoltcp::wire::IpListenEndpoint;

use super::Stack;
use super::slots::{Use, is_half_open};

/// A listener.
#[derive(Clone, Copy, Debug)]
pub struct Listener {
    pub number: u32,
    pub owner: u32,
    pub port: u16,
    /// The most connections that wait.
    pub backlog: usize,
    /// The socket that waits for the next one.
    pub open: Option<usize>,
    /// Whether it was published that one waits.
    pub is_told: bool,
}

impl Listener {
    pub fn new(number: u32, owner: u32, port: u16, backlog: usize) -> Listener {
        Listener { number, owner, port, backlog, open: None, is_told: false }
    }
}

impl Stack {
    /// Returns the most connections that may wait at a listener: half of all.
    pub(super) fn most_waiting(&self) -> usize {
        (self.slots.len() / 2).max(1)
    }

    pub(super) fn open_slot(&self, number: u32) -> Option<usize> {
        self.listeners.iter().find(|listener| listener.number == number)?.open
    }

    /// Sees to it that each listener waits for its next connection.
    pub(super) fn replenish(&mut self) {
        for index in 0..self.listeners.len() {
            let Listener { number, port, backlog, open, .. } = self.listeners[index];
            match open {
                Some(slot) if self.state(slot) == State::Listen => continue,
                Some(slot) => {
                    // Its connection begins now.
                    self.clock += 1;
                    self.slots[slot].since = self.clock;
                }
                None => {}
            }
            self.listeners[index].open = None;
            let Some(slot) = self.slot_for(number, backlog) else { continue };
            // It was ended before, and the port is not 0.
            let own = IpListenEndpoint { addr: Some(self.setup.address.into()), port };
            if self.socket(slot).listen(own).is_ok() {
                self.use_slot(slot, Use::Waiting(number));
                self.listeners[index].open = Some(slot);
            }
        }
    }

    /// Returns a socket for the next connection at a listener, which it has ended; `None` if as many as may be wait to be accepted.
    fn slot_for(&mut self, number: u32, backlog: usize) -> Option<usize> {
        let own = Use::Waiting(number);
        let waiting = self.slots.iter().filter(|slot| slot.usage == own).count();
        if waiting < backlog {
            return self.take_slot();
        }
        let oldest = self.oldest(|usage, state| usage == own && is_half_open(state))?;
        self.socket(oldest).abort();
        Some(oldest)
    }

    /// Returns the connection that has waited longest to be accepted.
    pub(super) fn first_waiting(&self, number: u32) -> Option<usize> {
        self.oldest(|usage, state| {
            usage == Use::Waiting(number) && !matches!(state, State::Listen | State::SynReceived | State::Closed)
        })
    }

    /// Ends a listener, and what waits there.
    pub(super) fn end_listener(&mut self, index: usize) {
        let listener = self.listeners.swap_remove(index);
        for slot in 0..self.slots.len() {
            if self.slots[slot].usage == Use::Waiting(listener.number) {
                self.leave(slot, true);
            }
        }
        self.is_changed = true;
    }
}
