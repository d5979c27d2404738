//! One link: what came from its client, and the answers.

use alloc::vec::Vec;

use bareflow_protocol::control::{CLIENT_BITS, Envelope, MAX_REQUEST, Refusal, RefusalCode};
use bareflow_protocol::options::Token;
use bareflow_protocol::{Decoder, FrameError, HEAD, Message, Request, Response, write_frame};
use bareflow_suite::error_text;

/// The most bytes that wait for the rest of a request, or to be handled.
const MOST_BYTES: usize = MAX_REQUEST + (64 << 10);

/// The most bytes that are kept before the token has come.
const TOKEN_BYTES: usize = 256;

/// The time within which the token comes, in milliseconds.
const TOKEN_MS: u64 = 5_000;

/// The time after which links end of a module that makes no calls, in milliseconds.
const SILENCE_MS: u64 = 60_000;

/// The most bytes of answers that wait to be taken.
const MOST_ANSWERS: usize = 4 << 20;

/// A link.
#[derive(Debug)]
pub(super) struct Link {
    pub number: u32,
    /// The module that opened it.
    pub caller: u32,
    /// When that module made its last call of the channel.
    pub heard_ms: u64,
    opened_ms: u64,
    decoder: Decoder,
    /// Whether the token has come.
    pub is_trusted: bool,
    answers: Vec<u8>,
    /// The number of bytes of `answers` that were taken.
    taken: usize,
    /// Whether the module that opened it, or its end, has closed it.
    pub is_closed: bool,
    /// Whether nothing more is read from it.
    has_ended: bool,
}

/// The work for a link.
pub(super) enum Due {
    /// A request, whose number is that of its link and its own.
    Request(Vec<u8>),
    /// Bytes that are no request.
    Wrong(FrameError),
}

impl Link {
    pub const fn new(number: u32, caller: u32, heard_ms: u64) -> Link {
        let decoder = Decoder::with_limit(MAX_REQUEST);
        let answers = Vec::new();
        Link {
            number,
            caller,
            heard_ms,
            opened_ms: heard_ms,
            decoder,
            is_trusted: false,
            answers,
            taken: 0,
            is_closed: false,
            has_ended: false,
        }
    }

    /// Returns whether it is at an end: its module closed it or is silent, or no token came in time.
    pub const fn is_gone(&self, now_ms: u64) -> bool {
        let is_late = !self.is_trusted && now_ms.saturating_sub(self.opened_ms) >= TOKEN_MS;
        self.is_closed || is_late || now_ms.saturating_sub(self.heard_ms) >= SILENCE_MS
    }

    /// Returns how many more bytes it takes.
    pub fn room(&self) -> usize {
        let most = if self.is_trusted { MOST_BYTES } else { TOKEN_BYTES };
        if self.has_ended { 0 } else { most.saturating_sub(self.decoder.unfinished()) }
    }

    /// Adds bytes that came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.decoder.push(bytes);
    }

    /// Returns the answers that were not taken yet.
    pub fn answers(&self) -> &[u8] {
        self.answers.get(self.taken..).unwrap_or_default()
    }

    /// Forgets answers that were taken.
    pub fn forget(&mut self, bytes: usize) {
        self.taken += bytes;
        if self.taken >= self.answers.len() {
            // The memory of a long answer is not kept.
            (self.answers, self.taken) = (Vec::new(), 0);
        } else if self.taken > self.answers.len() / 2 {
            self.answers.drain(..self.taken);
            self.taken = 0;
        }
    }

    /// Adds an answer. A client that does not take them is given up.
    pub fn answer(&mut self, frame: &[u8]) {
        let fits = self.answers().len() + frame.len() <= MOST_ANSWERS;
        if fits && self.answers.try_reserve(frame.len()).is_ok() {
            self.answers.extend_from_slice(frame);
        } else {
            (self.answers, self.taken) = (Vec::new(), 0);
            self.has_ended = true;
        }
    }

    /// Returns whether the kernel has ended it, and all is taken.
    pub fn is_over(&self) -> bool {
        self.has_ended && self.answers().is_empty()
    }

    /// Returns what is to be done next; `None` until more bytes come.
    pub fn next(&mut self, token: Token) -> Option<Due> {
        while !self.has_ended && !self.is_closed {
            let payload = match self.decoder.next_payload()? {
                Ok(payload) => payload,
                Err(error) if self.is_trusted => return Some(Due::Wrong(error)),
                Err(_) => {
                    self.refuse_token(0);
                    continue;
                }
            };
            if self.is_trusted {
                return Some(self.request(payload));
            }
            match Envelope::from_payload(&payload) {
                Ok(Envelope { request_id, request: Request::Token { token: found } }) if token.is(&Token(found)) => {
                    self.is_trusted = true;
                    self.say(request_id, Response::Done);
                }
                found => self.refuse_token(found.map_or(0, |envelope| envelope.request_id)),
            }
        }
        None
    }

    /// Returns a request with the number of its link.
    fn request(&self, mut payload: Vec<u8>) -> Due {
        let length = payload.len();
        // What is no request has no number by which its answer would find its way.
        let own = match Envelope::from_payload(&payload) {
            Ok(envelope) if envelope.request_id >> CLIENT_BITS == 0 => envelope.request_id,
            _ => return Due::Wrong(FrameError::Payload { length }),
        };
        if Envelope::renumber(&mut payload, u64::from(self.number) << CLIENT_BITS | own) {
            return Due::Request(payload);
        }
        let mut head = [0; HEAD];
        head.iter_mut().zip(&payload).for_each(|(target, byte)| *target = *byte);
        Due::Wrong(FrameError::NoMemory { length, head })
    }

    /// Tells the client that it has no token, and ends the link.
    fn refuse_token(&mut self, request_id: u64) {
        let error = error_text!("a wrong token, or none; name by `--token` the file that `serve --control` wrote");
        self.say(request_id, Response::Refused(Refusal::new(RefusalCode::WrongToken, error)));
        self.has_ended = true;
    }

    fn say(&mut self, request_id: u64, response: Response) {
        let mut frame = Vec::new();
        if write_frame(&mut frame, &Message::Response(request_id, response), TOKEN_BYTES).is_err() {
            self.has_ended = true;
        }
        self.answer(&frame);
    }
}
