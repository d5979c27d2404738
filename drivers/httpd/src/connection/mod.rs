//! A connection: it receives a head, sends the answer, and begins again.

mod patience;

use bareflow_abi::Out;
use bareflow_report::Report;
use bareflow_store::Store;
use bareflow_tcp::{Ready, Tcp, TcpError};

use crate::answer::{Body, answer, refuse};
use crate::output::Output;
use crate::request::{HEAD_BYTES, parse};
use crate::status::Status;
use crate::surroundings::Surroundings;

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
    /// Whether a request was answered before.
    has_answered: bool,
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
        has_answered: false,
        since_us: 0,
        sent_us: 0,
    };

    /// Begins anew with the connection of a number; 0 to be free.
    pub fn begin(&mut self, number: u32, now_us: u64) {
        (self.number, self.is_due, self.since_us) = (number, number != 0, now_us);
        (self.length, self.has_finished, self.has_answered) = (0, false, false);
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
    pub fn advance<T: Tcp, R: Report, S: Store>(
        &mut self,
        with: &mut Surroundings<'_, T, R, S>,
    ) -> Result<Turn, TcpError> {
        while with.take_step() {
            let turn = if self.is_answering { self.send(with)? } else { self.receive(with)? };
            if turn != Turn::Again {
                return Ok(turn);
            }
        }
        Ok(Turn::Later)
    }

    /// Receives of a head, and begins the answer if that is all of it.
    fn receive<T: Tcp, R: Report, S: Store>(&mut self, with: &mut Surroundings<'_, T, R, S>) -> Result<Turn, TcpError> {
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
    fn send<T: Tcp, R: Report, S: Store>(&mut self, with: &mut Surroundings<'_, T, R, S>) -> Result<Turn, TcpError> {
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
        self.has_answered = true;
    }

    fn note_sent(&mut self, count: usize, now_us: u64) {
        if count > 0 {
            self.sent_us = now_us;
        }
    }

    /// Begins the last answer, that nothing can be made of what came.
    fn refuse<T, R, S>(&mut self, status: Status, with: &mut Surroundings<'_, T, R, S>) {
        self.output.clear();
        (self.length, self.is_last) = (0, true);
        self.start(with.now_us);
        with.counts.refused += 1;
        self.body = refuse(status, &mut self.output);
    }

    fn close<T: Tcp, R, S>(&mut self, with: &mut Surroundings<'_, T, R, S>) -> Result<Turn, TcpError> {
        with.tcp.close(self.number)?;
        Ok(Turn::Ended)
    }
}
