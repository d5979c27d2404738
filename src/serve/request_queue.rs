//! The queue of requests to the kernel, in which clients take turns.
//!
//! Each client has at most one request in it. This keeps one client from delaying another by more than a request or
//! two, and limits the memory for all of them.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// The waiting requests, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct RequestQueue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    frames: VecDeque<(u32, Vec<u8>)>,
    /// The client whose request was taken last.
    last: u32,
    closed: bool,
}

impl RequestQueue {
    /// Puts in a client's request, once its previous one has been taken. Returns false if the queue is closed.
    pub(super) fn put(&self, client: u32, frame: Vec<u8>) -> bool {
        let has_one =
            |waiting: &mut Waiting| !waiting.closed && waiting.frames.iter().any(|(other, _)| *other == client);
        let mut waiting = self.wait_while(has_one);
        if waiting.closed {
            return false;
        }
        waiting.frames.push_back((client, frame));
        self.changed.notify_all();
        true
    }

    /// Takes the next request, once there is one: the oldest one that is not by the client that was served last, or
    /// else the oldest.
    ///
    /// Returns `None` if the queue is closed.
    pub(super) fn take(&self) -> Option<Vec<u8>> {
        let mut waiting = self.wait_while(|waiting| !waiting.closed && waiting.frames.is_empty());
        if waiting.closed {
            return None;
        }
        let other = waiting.frames.iter().position(|(client, _)| *client != waiting.last);
        let (client, frame) = waiting.frames.remove(other.unwrap_or(0))?;
        waiting.last = client;
        self.changed.notify_all();
        Some(frame)
    }

    /// Closes the queue, ends all waiting, and drops the requests.
    pub(super) fn close(&self) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        *waiting = Waiting { closed: true, ..Waiting::default() };
        self.changed.notify_all();
    }

    fn wait_while(&self, condition: impl FnMut(&mut Waiting) -> bool) -> MutexGuard<'_, Waiting> {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        self.changed.wait_while(waiting, condition).unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn one_of_many_requests_is_behind_one_of_each_other_client() {
        let queue = RequestQueue::default();
        thread::scope(|scope| {
            // The client's second request waits until its first one is taken.
            scope.spawn(|| assert!([[1], [2]].iter().all(|frame| queue.put(1, frame.to_vec()))));
            while queue.waiting.lock().unwrap().frames.is_empty() {
                thread::yield_now();
            }
            assert!(queue.put(2, vec![3]));
            assert_eq!([queue.take(), queue.take(), queue.take()], [Some(vec![1]), Some(vec![3]), Some(vec![2])]);
        });
    }

    #[test]
    fn who_was_heard_last_lets_another_one_go_first() {
        let queue = RequestQueue::default();
        let put = |client, frame| assert!(queue.put(client, vec![frame]));
        put(1, 1);
        assert_eq!(queue.take(), Some(vec![1]));
        [(1, 2), (2, 3), (3, 4)].into_iter().for_each(|(client, frame)| put(client, frame));
        assert_eq!([queue.take(), queue.take(), queue.take()], [Some(vec![3]), Some(vec![2]), Some(vec![4])]);
    }

    #[test]
    fn nobody_waits_for_a_kernel_that_is_gone() {
        let queue = RequestQueue::default();
        thread::scope(|scope| {
            let taken = scope.spawn(|| queue.take());
            queue.close();
            assert_eq!(taken.join().unwrap(), None);
        });
        assert!(!queue.put(1, vec![1]));
    }
}
