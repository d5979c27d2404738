//! The patience with a connection: when it ends, and which one gives way to another.

use bareflow_tcp::{Tcp, TcpError};

use super::{Connection, Turn};
use crate::status::Status;
use crate::surroundings::Surroundings;

/// The time without a request after an answer, and without progress of an answer: until it ends, and until it may give way to
/// others. In microseconds.
const IDLE_US: u64 = 30_000_000;
const STALL_US: u64 = 10_000_000;
const GIVES_WAY_US: u64 = 1_000_000;

impl Connection {
    /// Returns when its patience ends.
    pub fn ends_us(&self, head_us: u64) -> u64 {
        if self.is_answering {
            self.sent_us.saturating_add(STALL_US)
        } else if self.is_idle() {
            self.since_us.saturating_add(IDLE_US)
        } else {
            self.since_us.saturating_add(head_us)
        }
    }

    /// Ends what has taken too long. A head that was begun gets an answer.
    pub fn give_up<T: Tcp, R, S>(&mut self, with: &mut Surroundings<'_, T, R, S>) -> Result<Turn, TcpError> {
        if self.is_answering {
            with.tcp.abort(self.number)?;
            Ok(Turn::Ended)
        } else if self.length == 0 {
            self.close(with)
        } else {
            self.refuse(Status::RequestTimeout, with);
            Ok(Turn::Again)
        }
    }

    /// Returns when it may give way to another one: at any time, except that an answer has some for its next progress.
    pub fn gives_way_us(&self) -> u64 {
        if self.is_answering { self.sent_us.saturating_add(GIVES_WAY_US) } else { 0 }
    }

    /// Returns what is least for the one that gives way first: whoever waits for a request, then whose answer has stalled
    /// for the longest time.
    pub fn precedence(&self) -> (bool, u64, u32) {
        (self.is_answering, if self.is_answering { self.sent_us } else { self.since_us }, self.number)
    }

    /// Returns whether it waits for another request, of which nothing came.
    fn is_idle(&self) -> bool {
        !self.is_answering && self.length == 0 && self.has_answered
    }
}
