//! The list of what a caller can go on with.

use bareflow_abi::Out;
use bareflow_tcp::Ready;
use smoltcp::socket::tcp::{Socket, State};

use super::Stack;
use super::slots::{Slot, Use};

impl Stack {
    /// Appends what a caller can go on with, from the one on behind the last that was told.
    pub fn ready(&mut self, caller: u32, into: &mut Out<'_, Ready>) {
        for index in 0..self.listeners.len() {
            let listener = self.listeners[index];
            if listener.owner == caller && self.first_waiting(listener.number).is_some() {
                into.push(Ready { number: listener.number, what: Ready::ACCEPT });
            }
        }
        for &(number, owner) in &self.lost {
            if owner == caller {
                into.push(Ready { number, what: Ready::ENDED });
            }
        }
        let count = self.in_use();
        let first = self.first_ready.min(count);
        for slot in (first..count).chain(0..first) {
            let (number, owner) = (self.slots[slot].number, self.slots[slot].owner);
            if number == 0 || owner != caller {
                continue;
            }
            let what = self.ready_now(slot);
            if what != 0 {
                if !into.push(Ready { number, what }) {
                    self.first_ready = slot;
                    return;
                }
                self.slots[slot].told |= what;
            }
        }
    }

    /// Returns what can be done with a connection.
    fn ready_now(&self, slot: usize) -> u32 {
        let Slot { handle, usage, wants_room, is_read, .. } = self.slots[slot];
        if usage != Use::Owned {
            return 0;
        }
        let socket = self.sockets.get::<Socket<'_>>(handle);
        let state = socket.state();
        let ends = matches!(state, State::CloseWait | State::LastAck | State::Closing | State::TimeWait) && !is_read;
        let may_receive = socket.can_recv() || ends;
        // Little room is not worth a call.
        let room = socket.send_capacity() - socket.send_queue();
        let may_send = wants_room && socket.may_send() && room >= socket.send_capacity() / 4;
        let has_ended = matches!(state, State::Closed | State::TimeWait) && !may_receive;
        [(may_receive, Ready::RECEIVE), (may_send, Ready::SEND), (has_ended, Ready::ENDED)]
            .iter()
            .filter_map(|(is_so, what)| is_so.then_some(what))
            .sum()
    }

    /// Finds out whether there is something new for callers, and takes it as told.
    pub(super) fn find_news(&mut self) -> bool {
        let mut is_news = false;
        for index in 0..self.listeners.len() {
            let waits = self.first_waiting(self.listeners[index].number).is_some();
            is_news |= waits && !self.listeners[index].is_told;
            self.listeners[index].is_told = waits;
        }
        for slot in 0..self.in_use() {
            let what = self.ready_now(slot);
            is_news |= what & !self.slots[slot].told != 0;
            self.slots[slot].told = what;
        }
        is_news
    }
}
