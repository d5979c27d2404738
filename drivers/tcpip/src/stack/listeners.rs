//! The listeners: one socket of each waits for the next connection, as long as there may be one more.
//!
//! Besides those that wait to be accepted, as many as the backlog may be half open, for ten seconds; the oldest of them gives
//! its socket to the next one. So strangers that never answer hold up others only as long as more of them than the backlog ask
//! within the time that a frame takes there and back.

use smoltcp::socket::tcp::State;
use smoltcp::wire::IpListenEndpoint;

use super::Stack;
use super::slots::{Use, is_half_open};

/// The connections that may be half open at any listener.
const LEAST_HALF_OPEN: usize = 2;

/// Returns whether a connection can be accepted.
fn is_there(state: State) -> bool {
    !matches!(state, State::Listen | State::SynReceived | State::Closed)
}

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
                    (self.slots[slot].since, self.slots[slot].used_at) = (self.clock, self.now);
                }
                None => {}
            }
            self.listeners[index].open = None;
            let Some(slot) = self.slot_for(number, backlog) else { continue };
            // It was ended before, and the port is not 0.
            let own = IpListenEndpoint { addr: Some(self.config.address.into()), port };
            if self.socket(slot).listen(own).is_ok() {
                self.use_slot(slot, Use::Waiting(number));
                self.listeners[index].open = Some(slot);
            }
        }
    }

    /// Returns a socket for the next connection at a listener, which it has ended; `None` if as many as may be wait to be
    /// accepted, or if there is no socket.
    fn slot_for(&mut self, number: u32, backlog: usize) -> Option<usize> {
        let count = |is_meant: fn(State) -> bool| {
            let own = |slot: &usize| self.slots[*slot].usage == Use::Waiting(number) && is_meant(self.state(*slot));
            (0..self.in_use()).filter(own).count()
        };
        if count(is_there) >= backlog {
            return None;
        }
        if count(is_half_open) < backlog.max(LEAST_HALF_OPEN) {
            return self.take_slot();
        }
        let oldest = self.oldest(|usage, state| usage == Use::Waiting(number) && is_half_open(state))?;
        self.socket(oldest).abort();
        Some(oldest)
    }

    /// Returns the connection that has waited longest to be accepted.
    pub(super) fn first_waiting(&self, number: u32) -> Option<usize> {
        self.oldest(|usage, state| usage == Use::Waiting(number) && is_there(state))
    }

    /// Closes the ports of listeners that have as many connections as may wait.
    pub(super) fn close_full(&mut self) {
        for index in 0..self.listeners.len() {
            let Listener { number, backlog, open, .. } = self.listeners[index];
            let is_own = |slot: &usize| self.slots[*slot].usage == Use::Waiting(number) && is_there(self.state(*slot));
            let is_full = (0..self.in_use()).filter(is_own).count() >= backlog;
            if let Some(slot) = open.filter(|slot| is_full && self.state(*slot) == State::Listen) {
                self.leave(slot, true);
                self.listeners[index].open = None;
            }
        }
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
