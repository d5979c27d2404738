//! A connection: it receives a head, sends the answer, and begins again.

use bareflow_report::Report;
use bareflow_store::Store;
use bareflow_tcp::{Ready, Tcp, TcpError};

use crate::answer::{Body, answer, refuse};
use crate::output::Output;
use crate::request::{HEAD_BYTES, parse};
use crate::services::Services;
use crate::status::Status;

use bareflow_abi::Out;

/// The time without a request after an answer, and without progress of an answer: until it ends, and until it may give way to
/// others. In microseconds.
const IDLE_US: u64 = 30_000_000;
const STALL_US: u64 = 10_000_000;
const GIVES_WAY_US: u64 = 1_000_000;

/// A connection.
pub struct Connection {
    /// The number; 0 if the place is free.
    pub number: u32,
    /// Whether there may be something to do.
    pub is_due: bool,
    /// The bytes that came of the head, and perhaps of the next ones.
    head: [u8; HEAD_BYTES],
    length: usize,
    /// Whether the client sends no more.
    has_finished: bool,
    /// The bytes that are to be sent, and the part that is to be made next.
    output: Output,
    body: Body,
    /// Whether an answer is under way, and whether it is the last.
    is_answering: bool,
    is_last: bool,
    /// The answers so far.
    answers: u32,
    /// When what is under way began: a head, an answer, or the wait for the former. When something was sent.
    since_us: u64,
    sent_us: u64,
}

/// The outcome of a connection's turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// A wait for the client.
    Waits,
    /// There is more to do, now.
    Again,
    /// There is more to do, at a later event.
    Later,
    /// The end.
    Ended,
}

impl Connection {
    pub const FREE: Connection = Connection {
        number: 0,
        is_due: false,
        head: [0; HEAD_BYTES],
        length: 0,
        has_finished: false,
        output: Output::new(),
        body: Body::Nothing,
        is_answering: false,
        is_last: false,
        answers: 0,
        since_us: 0,
        sent_us: 0,
    };

    /// Begins anew with the connection of a number; 0 to be free.
    pub fn begin(&mut self, number: u32, now_us: u64) {
        (self.number, self.is_due, self.since_us) = (number, number != 0, now_us);
        (self.length, self.has_finished, self.answers) = (0, false, 0);
        self.output.clear();
        (self.body, self.is_answering, self.is_last) = (Body::Nothing, false, false);
    }

    /// Returns whether something can be done after what TCP tells of it. While it answers, what comes is left to TCP.
    pub fn can_go_on(&self, ready: Ready) -> bool {
        ready.can(Ready::ENDED | if self.is_answering { Ready::SEND } else { Ready::RECEIVE })
    }

    /// Does some of what can be done.
    ///
    /// # Errors
    /// Those of the connection, and those of TCP itself.
    pub fn advance<T: Tcp, R: Report, S: Store>(&mut self, with: &mut Services<'_, T, R, S>) -> Result<Turn, TcpError> {
        while with.take_step() {
            let turn = if self.is_answering { self.send(with)? } else { self.receive(with)? };
            if turn != Turn::Again {
                return Ok(turn);
            }
        }
        Ok(Turn::Later)
    }

    /// Receives of a head, and begins the answer if that is all of it.
    fn receive<T: Tcp, R: Report, S: Store>(&mut self, with: &mut Services<'_, T, R, S>) -> Result<Turn, TcpError> {
        match parse(&self.head[..self.length], with.own_name) {
            Ok(Some((request, length))) => {
                if !with.may_read(&request) {
                    return Ok(Turn::Later);
                }
                self.head.copy_within(length..self.length, 0);
                self.length -= length;
                self.is_last = request.is_last;
                self.start(with.now_us);
                with.counts.requests += 1;
                self.body = answer(&request, &mut self.output, with);
                Ok(Turn::Again)
            }
            Err(status) => {
                self.refuse(status, with);
                Ok(Turn::Again)
            }
            Ok(None) if self.has_finished => self.close(with),
            Ok(None) => {
                let mut into = Out::new(&mut self.head[self.length..]);
                self.has_finished = with.tcp.receive(self.number, &mut into)?;
                let came = into.written().len();
                if self.length == 0 && came > 0 {
                    self.since_us = with.now_us;
                }
                self.length += came;
                Ok(if came > 0 || self.has_finished { Turn::Again } else { Turn::Waits })
            }
        }
    }

    /// Sends of an answer, and ends it if that was all.
    fn send<T: Tcp, R: Report, S: Store>(&mut self, with: &mut Services<'_, T, R, S>) -> Result<Turn, TcpError> {
        if !self.output.unsent().is_empty() {
            let sent = with.tcp.send(self.number, self.output.unsent())? as usize;
            self.note_sent(sent, with.now_us);
            let is_all = sent >= self.output.unsent().len();
            self.output.note_sent(sent);
            return Ok(if is_all { Turn::Again } else { Turn::Waits });
        }
        let before = self.body.sent();
        let turn = self.body.go_on(self.number, &mut self.output, with)?;
        self.note_sent(self.body.sent().saturating_sub(before), with.now_us);
        match turn {
            Some(turn) => Ok(turn),
            None if self.is_last => self.close(with),
            None => {
                (self.is_answering, self.since_us) = (false, with.now_us);
                Ok(Turn::Again)
            }
        }
    }

    fn start(&mut self, now_us: u64) {
        (self.is_answering, self.since_us, self.sent_us) = (true, now_us, now_us);
        self.answers = self.answers.saturating_add(1);
    }

    fn note_sent(&mut self, count: usize, now_us: u64) {
        if count > 0 {
            self.sent_us = now_us;
        }
    }

    /// Begins the last answer, that nothing can be made of what came.
    fn refuse<T, R, S>(&mut self, status: Status, with: &mut Services<'_, T, R, S>) {
        self.output.clear();
        (self.length, self.is_last) = (0, true);
        self.start(with.now_us);
        with.counts.refused += 1;
        self.body = refuse(status, &mut self.output);
    }

    fn close<T: Tcp, R, S>(&mut self, with: &mut Services<'_, T, R, S>) -> Result<Turn, TcpError> {
        with.tcp.close(self.number)?;
        Ok(Turn::Ended)
    }

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
    pub fn give_up<T: Tcp, R, S>(&mut self, with: &mut Services<'_, T, R, S>) -> Result<Turn, TcpError> {
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
        !self.is_answering && self.length == 0 && self.answers > 0
    }
}
