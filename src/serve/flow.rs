//! How many requests of one client may be without an answer: so that a flood of one client's
//! requests keeps those of others waiting for a few of them at the most.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Requests of one client that may be on their way, or in the kernel.
const UNANSWERED: usize = 4;

/// The requests of one client that have no answer yet.
#[derive(Debug, Default)]
pub(super) struct Flow {
    unanswered: Mutex<Option<usize>>,
    changed: Condvar,
}

impl Flow {
    /// A client that has asked for nothing yet.
    pub(super) fn new() -> Flow {
        Flow { unanswered: Mutex::new(Some(0)), changed: Condvar::new() }
    }

    /// Waits until one more request may be sent, and counts it. What a client had sent before it went is passed on
    /// without waiting: its end comes right behind.
    pub(super) fn begin(&self) {
        let unanswered = self.unanswered.lock().unwrap_or_else(PoisonError::into_inner);
        let full = |count: &mut Option<usize>| count.is_some_and(|count| count >= UNANSWERED);
        let mut unanswered = self.changed.wait_while(unanswered, full).unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = &mut *unanswered {
            *count += 1;
        }
    }

    /// Counts an answer.
    pub(super) fn end(&self) {
        let mut unanswered = self.unanswered.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = &mut *unanswered {
            // What the broker asks for by itself is answered, too.
            *count = count.saturating_sub(1);
        }
        self.changed.notify_one();
    }

    /// Waits for an answer, at most so long; says whether there are requests that still wait for theirs.
    pub(super) fn is_waiting(&self, patience: Duration) -> bool {
        let unanswered = self.unanswered.lock().unwrap_or_else(PoisonError::into_inner);
        let some = |count: &mut Option<usize>| count.is_some_and(|count| count > 0);
        let waited = self.changed.wait_timeout_while(unanswered, patience, some);
        waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Forgets requests that get no answer any more.
    pub(super) fn begin_anew(&self) {
        let mut unanswered = self.unanswered.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = &mut *unanswered {
            *count = 0;
        }
        self.changed.notify_one();
    }

    /// Lets nobody wait any more.
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
            // Full again: one that waits is let go when the client is gone.
            scope.spawn(wait);
            flow.close();
            assert_eq!(began.recv(), Ok(()));
        });
    }
}
