//! The messages to the host.

use bareflow_protocol::Message;
use spin::{Lazy, Mutex};

use crate::serial::{COM2, Serial};

/// The port to the host, opened with the first message: setting it up again would empty its buffers.
static HOST: Lazy<Mutex<Serial>> = Lazy::new(|| Mutex::new(Serial::open(COM2)));

/// Sends a message to the host.
pub fn tell_host(message: &Message) {
    let mut host = HOST.lock();
    host.send(&message.to_frame());
    host.flush();
}
