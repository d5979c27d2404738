//! The answers on their way to one client: a bounded queue, so that a client
//! that does not read costs little and keeps nobody waiting.

use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use super::flow::Flow;

/// Answers that wait for a client at most.
const CAPACITY: usize = 256;

/// How long a client may take to read a part of an answer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// The broker's end: puts answers in.
#[derive(Clone, Debug)]
pub(super) struct ClientQueue {
    frames: SyncSender<Vec<u8>>,
    stream: Arc<UnixStream>,
}

/// The client's end: writes answers out, in a thread of its own.
#[derive(Debug)]
pub(super) struct Outlet {
    frames: Receiver<Vec<u8>>,
    stream: Arc<UnixStream>,
    flow: Arc<Flow>,
}

/// A queue to the client behind `stream`, whose requests `flow` counts.
pub(super) fn client_queue(stream: &Arc<UnixStream>, flow: &Arc<Flow>) -> (ClientQueue, Outlet) {
    let (sender, receiver) = sync_channel(CAPACITY);
    (
        ClientQueue { frames: sender, stream: Arc::clone(stream) },
        Outlet { frames: receiver, stream: Arc::clone(stream), flow: Arc::clone(flow) },
    )
}

impl ClientQueue {
    /// Puts a frame in; false when there is no room. One that has gone meanwhile needs none.
    pub(super) fn offer(&self, frame: Vec<u8>) -> bool {
        !matches!(self.frames.try_send(frame), Err(TrySendError::Full(_)))
    }

    /// Ends the connection at once.
    pub(super) fn hang_up(&self) {
        // It fails only where the client has done so already.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

impl Outlet {
    /// Writes frames until no more can come, then ends the connection.
    pub(super) fn run(self) {
        let mut stream = &*self.stream;
        let ready = stream.set_write_timeout(Some(WRITE_TIMEOUT));
        if ready.is_ok() {
            // A client that takes no more is gone: its reader notices.
            let _ = self.frames.iter().try_for_each(|frame| stream.write_all(&frame));
        }
        let _ = stream.shutdown(Shutdown::Both);
        // Its reader may wait for an answer before it reads on, and would not notice.
        self.flow.close();
    }
}
