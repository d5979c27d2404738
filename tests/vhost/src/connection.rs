//! QEMU's connections, one after another.

use std::io;
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

use vhost::vhost_user::{BackendReqHandler, Error};

use crate::lock;
use crate::machine::Machine;

/// A socket at which a device waits for QEMU.
#[derive(Debug)]
pub struct Connection(Arc<Mutex<Option<UnixStream>>>);

impl Connection {
    /// Takes what QEMU says of the machine at the socket `path`, and again when it comes back. The thread that does it ends with
    /// this process.
    pub fn listen(path: &Path, machine: Arc<Mutex<Machine>>) -> io::Result<Connection> {
        let listener = UnixListener::bind(path)?;
        let stream = Arc::new(Mutex::new(None));
        let connection = Connection(Arc::clone(&stream));
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                *lock(&stream) = near.try_clone().ok();
                let mut handler = BackendReqHandler::from_stream(near, Arc::clone(&machine));
                // QEMU 7.2 enables a card's rings before it has agreed on features, which the crate refuses.
                while matches!(handler.handle_request(), Ok(()) | Err(Error::InactiveFeature(_))) {}
                lock(&machine).forget();
            }
        });
        Ok(connection)
    }

    /// Cuts QEMU off. Returns whether it was connected.
    pub fn cut(&self) -> bool {
        lock(&self.0).take().is_some_and(|stream| stream.shutdown(Shutdown::Both).is_ok())
    }
}
