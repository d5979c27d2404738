//! The queue of responses to one client.
//!
//! It is bounded, so a client that does not read costs little and delays no one else.

use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use super::flow::Flow;

/// The number of responses that may wait for a client.
const CAPACITY: usize = 256;

/// The time that a client may take to read a part of a response.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// The broker's end of the queue, which takes responses.
#[derive(Clone, Debug)]
pub(super) struct ResponseQueue {
    frames: SyncSender<Vec<u8>>,
    stream: Arc<UnixStream>,
}

/// The client's end of the queue, which writes responses in a thread of its own.
#[derive(Debug)]
pub(super) struct Outlet {
    frames: Receiver<Vec<u8>>,
    stream: Arc<UnixStream>,
    flow: Arc<Flow>,
}

/// Makes a queue to the client at `stream`, whose requests `flow` counts.
pub(super) fn response_queue(stream: &Arc<UnixStream>, flow: &Arc<Flow>) -> (ResponseQueue, Outlet) {
    let (sender, receiver) = sync_channel(CAPACITY);
    (
        ResponseQueue { frames: sender, stream: Arc::clone(stream) },
        Outlet { frames: receiver, stream: Arc::clone(stream), flow: Arc::clone(flow) },
    )
}

impl ResponseQueue {
    /// Puts a frame in the queue. Returns false if it is full; a frame for a client that has left is discarded.
    pub(super) fn offer(&self, frame: Vec<u8>) -> bool {
        !matches!(self.frames.try_send(frame), Err(TrySendError::Full(_)))
    }

    /// Ends the connection at once.
    pub(super) fn hang_up(&self) {
        // It fails only if the client has closed it already.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

impl Outlet {
    /// Writes frames until the queue is closed, then ends the connection.
    pub(super) fn run(self) {
        let mut stream = &*self.stream;
        let ready = stream.set_write_timeout(Some(WRITE_TIMEOUT));
        if ready.is_ok() {
            // A client that takes no more has left; its reader notices.
            let _ = self.frames.iter().try_for_each(|frame| stream.write_all(&frame));
        }
        let _ = stream.shutdown(Shutdown::Both);
        // Its reader may be waiting for a response before it reads on, and would not notice.
        self.flow.close();
    }
}
