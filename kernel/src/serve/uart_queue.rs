//! The clients' bytes: a virtio console, or COM2, read whenever somebody looks and at each
//! tick, so that at 115200 baud nothing is lost while a module runs.

use alloc::collections::VecDeque;

use spin::Mutex;

use crate::serial::{COM2, Serial};
use crate::virtio::channel::{Channel, OpenError};
use crate::virtio::hal::PIECE_SIZE;

/// Bytes that are kept until somebody takes them. When they are full, the port's own
/// buffer fills up, and the sender waits or sends again.
const SIZE: usize = 64 << 10;

/// Bytes that are taken at once.
const PIECE: usize = 1024;

/// Where bytes come from and go to.
#[expect(clippy::large_enum_variant, reason = "there is one")]
enum Port {
    /// None was opened.
    None,
    /// COM2.
    Serial(Serial),
    /// A virtio console.
    Virtio(Channel),
}

/// What came.
struct UartQueue {
    port: Port,
    bytes: VecDeque<u8>,
}

static QUEUE: Mutex<UartQueue> = Mutex::new(UartQueue { port: Port::None, bytes: VecDeque::new() });

/// Opens COM2, or the virtio console.
///
/// # Errors
/// When there is no virtio console that can be used.
pub fn open(virtio: bool) -> Result<(), OpenError> {
    let port = if virtio { Port::Virtio(Channel::open()?) } else { Port::Serial(Serial::open(COM2)) };
    let mut queue = QUEUE.lock();
    queue.port = port;
    // Room once and for all: a tick must not ask for memory.
    queue.bytes.reserve_exact(SIZE);
    Ok(())
}

/// Takes over what is in the port's own buffer: at a tick. Where it interrupted somebody who does the same, that one
/// does it.
pub fn drain_rx() {
    if let Some(mut queue) = QUEUE.try_lock() {
        queue.fill();
    }
}

/// Whether there is anything to take. Where somebody is at it, there is nothing.
pub fn has_bytes() -> bool {
    QUEUE.try_lock().is_some_and(|queue| !queue.bytes.is_empty())
}

/// Shows `receive` what came, piece by piece, and says whether there was anything.
pub fn take(mut receive: impl FnMut(&[u8])) -> bool {
    let mut came = false;
    // No memory is asked for: what is in use is the same before and after.
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
        // What comes meanwhile stays with the device.
        Port::Virtio(channel) => return channel.send(bytes),
        // A port that did not take them all this time may take the next ones.
        Port::Serial(serial) => serial.clone(),
    };
    // Ticks take over what comes meanwhile.
    drop(queue);
    serial.send(bytes);
}

/// Waits until all has left the port.
pub fn flush() {
    if let Port::Serial(serial) = &QUEUE.lock().port {
        serial.flush();
    }
}

impl UartQueue {
    /// Takes as many bytes as there are and as there is room for.
    fn take(&mut self, piece: &mut [u8]) -> usize {
        self.fill();
        let length = self.bytes.len().min(piece.len());
        for (target, byte) in piece.iter_mut().zip(self.bytes.drain(..length)) {
            *target = byte;
        }
        length
    }

    fn fill(&mut self) {
        let UartQueue { port, bytes } = self;
        match port {
            Port::None => {}
            Port::Serial(serial) => {
                while bytes.len() < SIZE
                    && let Some(byte) = serial.receive()
                {
                    bytes.push_back(byte);
                }
            }
            // Room for all that may have come.
            Port::Virtio(channel) if bytes.len() <= SIZE - PIECE_SIZE => channel.receive(|came| bytes.extend(came)),
            Port::Virtio(_) => {}
        }
    }
}
