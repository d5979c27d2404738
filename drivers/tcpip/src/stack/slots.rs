//! The sockets, and what each is used for.

use alloc::vec::Vec;

use bareflow_tcp::Peer;
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::time::{Duration, Instant};

use super::{Stack, reserved};

/// The time after which a connection ends whose other side does not answer, and that after which it is asked to.
const TIMEOUT: Duration = Duration::from_secs(60);
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// The time for which a connection may be half open.
const HALF_OPEN: Duration = Duration::from_secs(10);

/// The time for which a connection that its owner has closed is still served.
const LEAVE: Duration = Duration::from_secs(30);

/// The use of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// None.
    Free,
    /// Waiting at the listener of this number: for a connection, or with one to be accepted.
    Waiting(u32),
    /// A connection of its owner's.
    Owned,
    /// Forgotten by its owner. It ends at the latest at this time; `None` until that is known.
    Leaving(Option<Instant>),
}

/// A socket with its use.
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    pub handle: SocketHandle,
    pub usage: Use,
    /// The number and the owner of the connection; 0 if it has none.
    pub number: u32,
    pub owner: u32,
    /// The other side of the connection.
    pub peer: Peer,
    /// The place in the order in which sockets were used, and the time.
    pub since: u64,
    pub used_at: Instant,
    /// Whether the other side had taken the connection.
    pub was_there: bool,
    /// Whether the last send did not take all.
    pub wants_room: bool,
    /// Whether the end of what is received was passed on, and whether this side has finished.
    pub is_read: bool,
    pub is_finished: bool,
    /// The part of what is ready that was published.
    pub told: u32,
}

impl Slot {
    const fn new(handle: SocketHandle, usage: Use) -> Slot {
        Slot {
            handle,
            usage,
            number: 0,
            owner: 0,
            peer: Peer::new([0; 4], 0),
            since: 0,
            used_at: Instant::ZERO,
            was_there: false,
            wants_room: false,
            is_read: false,
            is_finished: false,
            told: 0,
        }
    }
}

/// Makes sockets with their buffers; `None` if there is no memory.
pub fn make(count: usize, receive_bytes: usize, send_bytes: usize) -> Option<(SocketSet<'static>, Vec<Slot>)> {
    let mut sockets = SocketSet::new(reserved(count)?);
    let mut slots = reserved(count)?;
    for _ in 0..count {
        let mut socket = Socket::new(buffer(receive_bytes)?, buffer(send_bytes)?);
        socket.set_timeout(Some(TIMEOUT));
        socket.set_keep_alive(Some(KEEP_ALIVE));
        slots.push(Slot::new(sockets.add(socket), Use::Free));
    }
    Some((sockets, slots))
}

fn buffer(bytes: usize) -> Option<SocketBuffer<'static>> {
    let mut room = reserved(bytes)?;
    room.resize(bytes, 0);
    Some(SocketBuffer::new(room))
}

/// Returns whether the other side has asked for a connection, and has not answered since.
pub fn is_half_open(state: State) -> bool {
    state == State::SynReceived
}

impl Stack {
    pub(super) fn socket(&mut self, slot: usize) -> &mut Socket<'static> {
        self.sockets.get_mut(self.slots[slot].handle)
    }

    pub(super) fn state(&self, slot: usize) -> State {
        self.sockets.get::<Socket<'_>>(self.slots[slot].handle).state()
    }

    /// Returns the number of sockets up to the last one that is used. The first free one is taken first, so they are few in a stack
    /// that has little to do.
    pub(super) fn in_use(&self) -> usize {
        self.slots.iter().rposition(|slot| slot.usage != Use::Free).map_or(0, |last| last + 1)
    }

    /// Gives a socket another use.
    pub(super) fn use_slot(&mut self, slot: usize, usage: Use) {
        self.clock += 1;
        let slot = &mut self.slots[slot];
        self.is_changed |= slot.number != 0;
        *slot = Slot { since: self.clock, used_at: self.now, ..Slot::new(slot.handle, usage) };
    }

    /// Returns a socket that can be used: a free one, or the oldest whose connection has ended on both sides, whose owner has
    /// closed it and all of whose bytes have arrived, or which is half open, in this order.
    pub(super) fn take_slot(&mut self) -> Option<usize> {
        let free = self.slots.iter().position(|slot| slot.usage == Use::Free);
        let half_open = || self.oldest_but_one(|usage, state| matches!(usage, Use::Waiting(_)) && is_half_open(state));
        let ended = || self.oldest(|usage, state| matches!(usage, Use::Leaving(_)) && state == State::TimeWait);
        // The other side has yet to finish, for which it may take as long as it likes.
        let arrived = || self.oldest(|usage, state| matches!(usage, Use::Leaving(_)) && state == State::FinWait2);
        let slot = free.or_else(ended).or_else(arrived).or_else(half_open)?;
        self.socket(slot).abort();
        Some(slot)
    }

    /// Returns the socket that has the oldest of some uses and states.
    pub(super) fn oldest(&self, is_meant: impl Fn(Use, State) -> bool) -> Option<usize> {
        let found = (0..self.in_use()).filter(|&slot| is_meant(self.slots[slot].usage, self.state(slot)));
        found.min_by_key(|&slot| self.slots[slot].since)
    }

    /// Returns the same if it is not the only one: the newest has to have its time.
    fn oldest_but_one(&self, is_meant: impl Fn(Use, State) -> bool) -> Option<usize> {
        let count = (0..self.in_use()).filter(|&slot| is_meant(self.slots[slot].usage, self.state(slot))).count();
        if count > 1 { self.oldest(is_meant) } else { None }
    }

    /// Forgets a connection. With a reset it ends at once, and without one when all is sent.
    pub(super) fn leave(&mut self, slot: usize, with_reset: bool) {
        match self.state(slot) {
            // Both sides have finished.
            State::TimeWait | State::LastAck | State::Closing => {}
            State::Listen => self.socket(slot).close(),
            _ if with_reset => self.socket(slot).abort(),
            _ => self.finish_slot(slot),
        }
        let is_finished = self.slots[slot].is_finished;
        self.use_slot(slot, Use::Leaving(None));
        self.slots[slot].is_finished = is_finished;
        self.is_due = true;
    }

    /// Finishes this side of a connection, at once or when all is sent: smoltcp 0.14 takes no news of the other side's room once
    /// both sides have finished.
    pub(super) fn finish_slot(&mut self, slot: usize) {
        self.slots[slot].is_finished = true;
        let socket = self.socket(slot);
        if socket.state() != State::CloseWait || socket.send_queue() == 0 {
            socket.close();
        }
    }

    /// Frees the sockets whose connections have ended.
    pub(super) fn tidy(&mut self, now: Instant) {
        for slot in 0..self.in_use() {
            match self.slots[slot].usage {
                Use::Free => {}
                Use::Owned => {
                    let state = self.state(slot);
                    self.slots[slot].was_there |= !matches!(state, State::SynSent | State::SynReceived | State::Closed);
                }
                Use::Waiting(listener) => match self.state(slot) {
                    State::Closed => self.leave(slot, true),
                    // A reset made it listen again beside another one.
                    State::Listen if self.open_slot(listener) != Some(slot) => self.leave(slot, true),
                    State::SynReceived if now >= self.slots[slot].used_at + HALF_OPEN => self.leave(slot, true),
                    _ => {}
                },
                Use::Leaving(None) => self.slots[slot].usage = Use::Leaving(Some(now + LEAVE)),
                Use::Leaving(Some(until)) if now >= until => self.socket(slot).abort(),
                Use::Leaving(Some(_)) => {}
            }
            if self.slots[slot].is_finished && self.state(slot) == State::CloseWait {
                self.finish_slot(slot);
            }
            if let Use::Leaving(_) = self.slots[slot].usage {
                let socket = self.socket(slot);
                while socket.recv(|bytes| (bytes.len(), bytes.len())).is_ok_and(|length| length > 0) {}
                // While there is an address, a reset is to be sent.
                if socket.state() == State::Closed && socket.remote_endpoint().is_none() {
                    self.use_slot(slot, Use::Free);
                }
            }
        }
    }

    /// Returns when the next connection is to be ended that is half open, or that its owner has closed.
    pub(super) fn next_end(&self) -> Option<Instant> {
        let times = (0..self.in_use()).filter_map(|slot| match self.slots[slot].usage {
            Use::Leaving(until) => until,
            Use::Waiting(_) if is_half_open(self.state(slot)) => Some(self.slots[slot].used_at + HALF_OPEN),
            _ => None,
        });
        times.min()
    }
}
