//! The queue of the clients' bytes, from a virtio console or COM2. It is filled at each poll and each tick, so that
//! at 115200 baud nothing is lost while a module runs.

use alloc::collections::VecDeque;

use spin::Mutex;

use crate::serial::{COM2, Serial};
use crate::virtio::channel::{Channel, OpenError};
use crate::virtio::hal::PIECE_SIZE;

/// The most bytes that are kept until they are taken. When the queue is full, the port's own buffer fills up, and the
/// sender waits or sends again.
const SIZE: usize = 64 << 10;

/// The most bytes that are taken at once.
const PIECE: usize = 1024;

/// The port that bytes come from and go to.
#[expect(clippy::large_enum_variant, reason = "there is one")]
enum Port {
    /// No port is open.
    None,
    /// COM2.
    Serial(Serial),
    /// A virtio console.
    Virtio(Channel),
}

/// The port, and the bytes that arrived.
struct ChannelQueue {
    port: Port,
    bytes: VecDeque<u8>,
}

static QUEUE: Mutex<ChannelQueue> = Mutex::new(ChannelQueue { port: Port::None, bytes: VecDeque::new() });

/// Opens COM2, or the virtio console.
///
/// # Errors
/// When there is no virtio console that can be used.
pub fn open(virtio: bool) -> Result<(), OpenError> {
    let port = if virtio { Port::Virtio(Channel::open()?) } else { Port::Serial(Serial::open(COM2)) };
    let mut queue = QUEUE.lock();
    queue.port = port;
    // Reserve all room here, since a tick must not allocate memory.
    queue.bytes.reserve_exact(SIZE);
    Ok(())
}

/// Moves the bytes out of the port's own buffer. Called at a tick. If the tick interrupted code that holds the queue,
/// that code moves them.
pub fn drain_rx() {
    if let Some(mut queue) = QUEUE.try_lock() {
        queue.fill();
    }
}

/// Returns whether there are bytes to take; false while the queue is locked.
pub fn has_bytes() -> bool {
    QUEUE.try_lock().is_some_and(|queue| !queue.bytes.is_empty())
}

/// Passes the bytes that arrived to `receive`, piece by piece, and returns whether there were any.
pub fn take(mut receive: impl FnMut(&[u8])) -> bool {
    let mut came = false;
    // The piece is on the stack: the memory in use is the same before and after.
    let mut piece = [0; PIECE];
    loop {
        let length = QUEUE.lock().take(&mut piece);
        if length == 0 {
            return came;
        }
        came = true;
        receive(piece.get(..length).unwrap_or_default());
    }
}

/// Sends bytes.
pub fn send(bytes: &[u8]) {
    let mut queue = QUEUE.lock();
    let mut serial = match &mut queue.port {
        Port::None => return,
        // Bytes that arrive during this stay with the device.
        Port::Virtio(channel) => return channel.send(bytes),
        // A clone, so that a port which gave up once is tried again for the next bytes.
        Port::Serial(serial) => serial.clone(),
    };
    // Ticks move the bytes that arrive during this.
    drop(queue);
    serial.send(bytes);
}

/// Waits until all bytes have left the port.
pub fn flush() {
    if let Port::Serial(serial) = &QUEUE.lock().port {
        serial.flush();
    }
}

impl ChannelQueue {
    /// Takes as many bytes as there are and `piece` has room for.
    fn take(&mut self, piece: &mut [u8]) -> usize {
        self.fill();
        let length = self.bytes.len().min(piece.len());
        for (target, byte) in piece.iter_mut().zip(self.bytes.drain(..length)) {
            *target = byte;
        }
        length
    }

    fn fill(&mut self) {
        let ChannelQueue { port, bytes } = self;
        match port {
            Port::None => {}
            Port::Serial(serial) => {
                while bytes.len() < SIZE
                    && let Some(byte) = serial.receive()
                {
                    bytes.push_back(byte);
                }
            }
            // Only if there is room for all bytes that may have arrived.
            Port::Virtio(channel) if bytes.len() <= SIZE - PIECE_SIZE => channel.receive(|came| bytes.extend(came)),
            Port::Virtio(_) => {}
        }
    }
}
