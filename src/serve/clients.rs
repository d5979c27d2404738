//! The broker's clients, by their marks.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::flow::Flow;
use super::response_queue::ResponseQueue;

/// The maximum number of clients: each may have a request of a megabyte in transit.
pub(super) const MAX_CLIENTS: usize = 128;

/// The outcome of an attempt to connect.
#[derive(Debug)]
pub(super) enum Admission {
    /// The client is admitted, with this mark.
    Admitted(u32),
    /// There are too many clients.
    Full,
    /// No more clients are admitted.
    Closed,
}

/// The connected clients.
#[derive(Debug, Default)]
pub(super) struct Clients(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    clients: HashMap<u32, (ResponseQueue, Arc<Flow>)>,
    last: u32,
    closed: bool,
}

impl Clients {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Admits a client, unless there are too many or the broker is closing.
    pub(super) fn admit(&self, queue: ResponseQueue, flow: &Arc<Flow>) -> Admission {
        let mut table = self.lock();
        if table.closed {
            return Admission::Closed;
        }
        if table.clients.len() >= MAX_CLIENTS {
            return Admission::Full;
        }
        // The mark 0 belongs to requests that did not pass through a broker.
        let free = |mark: &u32| *mark != 0 && !table.clients.contains_key(mark);
        let marks = (1..=u32::MAX).map(|step| table.last.wrapping_add(step));
        let Some(mark) = { marks }.find(free) else { return Admission::Full };
        table.last = mark;
        table.clients.insert(mark, (queue, Arc::clone(flow)));
        Admission::Admitted(mark)
    }

    /// Removes a client: no response reaches it any more.
    pub(super) fn forget(&self, mark: u32) {
        if let Some((_, flow)) = self.lock().clients.remove(&mark) {
            flow.close();
        }
    }

    /// Passes a frame on to a client, and has `count` count it. A client that does not read its responses is dropped.
    pub(super) fn pass(&self, mark: u32, frame: Vec<u8>, count: fn(&Flow)) {
        // Held for both: a client that sends no more is forgotten as soon as its last response has been counted.
        let mut table = self.lock();
        // A response to a client that is gone is discarded.
        let Some((queue, flow)) = table.clients.get(&mark) else { return };
        count(flow);
        if !queue.offer(frame) {
            queue.hang_up();
            flow.close();
            table.clients.remove(&mark);
            crate::complain!("[SERVE] client {mark} does not take its answers, so it was dropped");
        }
    }

    /// Admits no more clients. The present ones get the responses that wait for them, then their connections end.
    pub(super) fn close(&self) {
        let mut table = self.lock();
        table.closed = true;
        table.clients.values().for_each(|(_, flow)| flow.close());
        table.clients.clear();
    }

    /// Whether no more clients are admitted.
    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::response_queue::response_queue;
    use std::io::Read;
    use std::os::unix::net::UnixStream;
    use std::thread;
    use std::time::Duration;

    #[test]
    fn marks_are_never_0_nor_given_twice() {
        let clients = Clients::default();
        let (stream, _other) = UnixStream::pair().unwrap();
        let stream = Arc::new(stream);
        let flow = Arc::new(Flow::new());
        let mark = || match clients.admit(response_queue(&stream, &flow).0, &flow) {
            Admission::Admitted(mark) => Some(mark),
            Admission::Full | Admission::Closed => None,
        };
        assert_eq!((mark(), mark()), (Some(1), Some(2)));
        clients.lock().last = u32::MAX;
        assert_eq!(mark(), Some(3));
        clients.close();
        assert_eq!(mark(), None);
    }

    #[test]
    fn rejects_more_clients_than_there_may_be() {
        let clients = Clients::default();
        let (stream, _other) = UnixStream::pair().unwrap();
        let stream = Arc::new(stream);
        let flow = Arc::new(Flow::new());
        let admit = || clients.admit(response_queue(&stream, &flow).0, &flow);
        assert!((0..MAX_CLIENTS).all(|_| matches!(admit(), Admission::Admitted(..))));
        assert!(matches!(admit(), Admission::Full));
        clients.forget(7);
        assert!(matches!(admit(), Admission::Admitted(..)));
    }

    #[test]
    fn the_last_response_reaches_a_client_that_is_forgotten_for_it() {
        let clients = Clients::default();
        let (stream, mut other) = UnixStream::pair().unwrap();
        let (stream, flow) = (Arc::new(stream), Arc::new(Flow::new()));
        let (queue, outlet) = response_queue(&stream, &flow);
        let Admission::Admitted(mark) = clients.admit(queue, &flow) else { panic!("not admitted") };
        flow.begin();
        thread::scope(|scope| {
            scope.spawn(|| {
                while flow.is_waiting(Duration::from_secs(1)) {}
                clients.forget(mark);
            });
            clients.pass(mark, b"last".to_vec(), |flow| {
                flow.end();
                thread::sleep(Duration::from_millis(20));
            });
        });
        outlet.run();
        let mut text = String::new();
        other.read_to_string(&mut text).unwrap();
        assert_eq!(text, "last");
    }
}
