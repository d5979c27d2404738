//! Flow control: the number of requests that one client may have unanswered.
//!
//! The limit ensures that a flood of requests from one client delays the others by only a few of them.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// The number of requests of one client that may be in transit or in the kernel.
const UNANSWERED: usize = 4;

/// The number of one client's unanswered requests; `None` once it has left.
#[derive(Debug, Default)]
pub(super) struct Flow {
    unanswered: Mutex<Option<usize>>,
    changed: Condvar,
}

impl Flow {
    /// Returns the flow of a client without requests.
    pub(super) fn new() -> Flow {
        Flow { unanswered: Mutex::new(Some(0)), changed: Condvar::new() }
    }

    /// Waits until one more request may be sent, and counts it.
    ///
    /// Requests that a client sent before it left pass without waiting, since its goodbye follows them.
    pub(super) fn begin(&self) {
        let unanswered = self.unanswered.lock().unwrap_or_else(PoisonError::into_inner);
        let full = |count: &mut Option<usize>| count.is_some_and(|count| count >= UNANSWERED);
        let mut unanswered = self.changed.wait_while(unanswered, full).unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = &mut *unanswered {
            *count += 1;
        }
    }

    /// Counts a response. The broker's own requests are answered, too.
    pub(super) fn end(&self) {
        self.change(|count| count.saturating_sub(1));
    }

    /// Waits at most `patience` until no request is unanswered. Returns whether some still are.
    pub(super) fn is_waiting(&self, patience: Duration) -> bool {
        let unanswered = self.unanswered.lock().unwrap_or_else(PoisonError::into_inner);
        let some = |count: &mut Option<usize>| count.is_some_and(|count| count > 0);
        let waited = self.changed.wait_timeout_while(unanswered, patience, some);
        waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Forgets requests that will not be answered any more.
    pub(super) fn begin_anew(&self) {
        self.change(|_| 0);
    }

    fn change(&self, change: impl FnOnce(usize) -> usize) {
        let mut unanswered = self.unanswered.lock().unwrap_or_else(PoisonError::into_inner);
        *unanswered = unanswered.map(change);
        self.changed.notify_one();
    }

    /// Ends all waiting.
    pub(super) fn close(&self) {
        *self.unanswered.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn lets_a_few_through_and_the_next_one_behind_an_answer() {
        let flow = Flow::new();
        (0..UNANSWERED).for_each(|_| flow.begin());
        let (sent, began) = channel();
        std::thread::scope(|scope| {
            let wait = || {
                flow.begin();
                sent.send(()).unwrap();
            };
            scope.spawn(wait);
            assert!(began.try_recv().is_err());
            flow.end();
            assert_eq!(began.recv(), Ok(()));
            // The flow is full again: a waiting request is released when the client leaves.
            scope.spawn(wait);
            flow.close();
            assert_eq!(began.recv(), Ok(()));
        });
    }
}
