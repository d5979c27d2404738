//! The server's side of links: requests are handled, and answers given back.

use alloc::vec::Vec;

use bareflow_loader::Platform;
use bareflow_protocol::control::{CLIENT_BITS, Refusal};

use super::link::Due;
use super::{FIRST, Links, MAX_LINKS};
use crate::{Server, ServerEnvironment, refusal_of};

/// The next work for links.
#[derive(Debug)]
pub(super) enum Next {
    /// Handle a request.
    Request(Vec<u8>),
    /// Refuse the request with a number.
    Refuse(u64, Refusal),
    /// The link with this number is gone.
    Gone(u32),
}

impl Links {
    /// Returns what is to be done next, for one link after the other.
    pub(super) fn next(&mut self, now_ms: u64) -> Option<Next> {
        let token = self.token?;
        for _ in 0..MAX_LINKS {
            self.turn = (self.turn + 1) % MAX_LINKS;
            let Some(slot) = self.links.get_mut(self.turn) else { continue };
            let Some(link) = slot else { continue };
            let number = link.number;
            if link.is_gone(now_ms) {
                *slot = None;
                return Some(Next::Gone(number));
            }
            let was = (link.room(), link.answers().len());
            let due = link.next(token);
            self.has_news |= was != (link.room(), link.answers().len());
            match due {
                Some(Due::Request(payload)) => return Some(Next::Request(payload)),
                Some(Due::Wrong(error)) => {
                    let (own, refusal) = refusal_of(&error);
                    let request_id = u64::from(number) << CLIENT_BITS | own & u64::from(u32::MAX);
                    return Some(Next::Refuse(request_id, refusal));
                }
                None => {}
            }
        }
        None
    }
}

impl<P: Platform, S: ServerEnvironment> Server<'_, P, S> {
    /// Handles requests that came on links, one of each at most, and ends those that were closed. Returns whether there were any.
    pub fn serve_links(&self) -> bool {
        let Some(links) = self.links else { return false };
        let mut worked = false;
        for _ in 0..MAX_LINKS {
            // The lock is free again while a request is handled.
            let next = links.try_lock().and_then(|mut links| links.next(self.environment.milliseconds()));
            match next {
                Some(Next::Request(payload)) => self.handle(payload),
                Some(Next::Refuse(request_id, refusal)) => self.refuse(request_id, refusal),
                Some(Next::Gone(number)) => self.forget(number),
                None => break,
            }
            worked = true;
        }
        self.tell_links();
        worked
    }

    /// Tells the modules that have links whether there is something for them.
    fn tell_links(&self) {
        let news = self.links.and_then(|links| Some(core::mem::take(&mut links.try_lock()?.has_news)));
        if news == Some(true) {
            self.manager.notify("kernel", "channel");
        }
    }

    /// Sends the frame of an answer to where its request came from.
    pub(crate) fn send(&self, request_id: u64, frame: &[u8]) {
        let mark = (request_id >> CLIENT_BITS) as u32;
        match self.links {
            Some(links) if mark >= FIRST => {
                let Some(mut links) = links.try_lock() else { return };
                links.has_news = true;
                // Its client may have left meanwhile.
                if let Some(link) = links.all_mut().find(|link| link.number == mark && !link.is_closed) {
                    link.answer(frame);
                }
            }
            _ => self.environment.send(frame),
        }
    }
}

/// Returns the number of a request as its client knows it: without that of its link, and with the mark of a broker, which
/// takes it off itself.
pub(crate) const fn own_number(request_id: u64) -> u64 {
    let is_link = request_id >> CLIENT_BITS >= FIRST as u64;
    if is_link { request_id & ((1 << CLIENT_BITS) - 1) } else { request_id }
}
