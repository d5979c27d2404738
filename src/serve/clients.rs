//! The clients of a broker, by their marks.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::client_queue::ClientQueue;

/// All clients that are connected.
#[derive(Debug, Default)]
pub(super) struct Clients(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    queues: HashMap<u32, ClientQueue>,
    last: u32,
    closed: bool,
}

impl Clients {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a client in and returns its mark; nothing when no more are let in.
    pub(super) fn admit(&self, queue: ClientQueue) -> Option<u32> {
        let mut table = self.lock();
        if table.closed {
            return None;
        }
        // 0 is the mark of requests that no broker saw.
        let free = |mark: &u32| *mark != 0 && !table.queues.contains_key(mark);
        let mark = (1..=u32::MAX).map(|step| table.last.wrapping_add(step)).find(free)?;
        table.last = mark;
        table.queues.insert(mark, queue);
        Some(mark)
    }

    /// Forgets a client: no answer reaches it any more.
    pub(super) fn forget(&self, mark: u32) {
        self.lock().queues.remove(&mark);
    }

    /// Passes a frame on to a client. One that does not take its answers is dropped.
    pub(super) fn pass(&self, mark: u32, frame: Vec<u8>) {
        let mut table = self.lock();
        // An answer to one that is gone has nobody to go to.
        let Some(queue) = table.queues.get(&mark) else { return };
        if !queue.offer(frame) {
            queue.hang_up();
            table.queues.remove(&mark);
            anstream::eprintln!("[SERVE] client {mark} does not take its answers, so it was dropped");
        }
    }

    /// Lets nobody in any more. Those who are there get what waits for them, then their connections end.
    pub(super) fn close(&self) {
        let mut table = self.lock();
        table.closed = true;
        table.queues.clear();
    }

    /// Whether nobody is let in any more.
    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::client_queue::client_queue;
    use std::os::unix::net::UnixStream;
    use std::sync::Arc;

    #[test]
    fn marks_are_never_0_nor_given_twice() {
        let clients = Clients::default();
        let (stream, _other) = UnixStream::pair().unwrap();
        let stream = Arc::new(stream);
        let queue = || client_queue(&stream).0;
        assert_eq!((clients.admit(queue()), clients.admit(queue())), (Some(1), Some(2)));
        clients.lock().last = u32::MAX;
        assert_eq!(clients.admit(queue()), Some(3));
        clients.close();
        assert_eq!(clients.admit(queue()), None);
    }
}
