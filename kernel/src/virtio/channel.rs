//! The channel to the host through a virtio console (5.3 of the specification): it transfers pages at a time, where a
//! serial port transfers a byte at a time.
//!
//! A device with several ports has the channel as port 1: QEMU drops bytes of port 0, the console, that the host does not
//! take at once, and lets the other ports wait (`flush_buf` in its `hw/char/virtio-console.c`).
//!
//! The crate's own driver allocates memory for each request, returns bytes one by one and waits without a limit. This
//! one therefore uses only the crate's queues.

use alloc::boxed::Box;
use alloc::vec::Vec;

use bareflow_devices::Patience;
use bitflags::bitflags;
use virtio_drivers::Error;
use virtio_drivers::queue::VirtQueue;
use virtio_drivers::transport::{DeviceType, Transport};

use super::hal::{KernelHal, PIECE_SIZE, prepare};
use super::{OwnTransport, TransportError, find, reason};
use crate::devices::setup;

/// The queues of port 0 and of port 1: what is received, and what is transmitted.
const PORT_QUEUES: [[u16; 2]; 2] = [[0, 1], [4, 5]];

/// The queue of messages about ports.
const CONTROL_TRANSMIT: u16 = 3;

/// The messages that make port 1 pass bytes: the port (a `u32`), the event (a `u16`), and 1 (a `u16`). The events are
/// `DEVICE_READY`, `PORT_READY` and `PORT_OPEN`. The device's own messages are not asked for.
const CONTROL_MESSAGES: [[u8; 8]; 3] = [[0, 0, 0, 0, 0, 0, 1, 0], [1, 0, 0, 0, 3, 0, 1, 0], [1, 0, 0, 0, 6, 0, 1, 0]];

/// The size of a queue, in requests.
const QUEUE_SIZE: usize = 2;

/// The time after which the device is given up that does not take a piece.
const PATIENCE: Patience = Patience { limit: 10 * setup::PATIENCE.limit, ..setup::PATIENCE };

bitflags! {
    /// The features of the device that are used.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct Features: u64 {
        const MULTIPORT = 1 << 1;
        const VERSION_1 = 1 << 32;
    }
}

/// The channel.
pub struct Channel {
    transport: OwnTransport,
    /// The numbers of the port's queues.
    numbers: [u16; 2],
    receive: VirtQueue<KernelHal, QUEUE_SIZE>,
    transmit: VirtQueue<KernelHal, QUEUE_SIZE>,
    /// The queue of messages about ports, which the device may look at as long as it runs.
    _control: Option<VirtQueue<KernelHal, QUEUE_SIZE>>,
    /// The buffer for bytes that arrive.
    page: Box<[u8]>,
    /// The buffer's request, while the device has it.
    token: Option<u16>,
    /// Whether the device once took no bytes. That request may still be running.
    lost: bool,
}

impl Channel {
    /// Finds the first virtio console and starts it.
    ///
    /// # Errors
    /// When there is none, or it can't be used.
    pub fn open() -> Result<Channel, OpenError> {
        let transport = find(DeviceType::Console)?.ok_or(OpenError::Missing)?;
        Channel::start(transport).map_err(|error| OpenError::Device(reason(error)))
    }

    fn start(mut transport: OwnTransport) -> Result<Channel, Error> {
        let mut page = Vec::new();
        // A piece for each direction.
        if !prepare(2) || page.try_reserve_exact(PIECE_SIZE).is_err() {
            return Err(Error::DmaError);
        }
        page.resize(PIECE_SIZE, 0);
        let has_ports = transport.begin_init(Features::VERSION_1 | Features::MULTIPORT).contains(Features::MULTIPORT);
        let numbers = PORT_QUEUES[usize::from(has_ports)];
        let [receive, transmit] = numbers.map(|number| VirtQueue::new(&mut transport, number, false, false));
        let (receive, transmit) = (receive?, transmit?);
        let control = has_ports.then(|| VirtQueue::new(&mut transport, CONTROL_TRANSMIT, false, false));
        let mut control = control.transpose()?;
        transport.finish_init();
        if let Some(control) = &mut control {
            CONTROL_MESSAGES
                .iter()
                .try_for_each(|message| transmit_piece(&mut transport, CONTROL_TRANSMIT, control, message))?;
        }
        let page = page.into_boxed_slice();
        let mut channel =
            Channel { transport, numbers, receive, transmit, _control: control, page, token: None, lost: false };
        channel.ask()?;
        Ok(channel)
    }

    /// Gives the buffer to the device.
    fn ask(&mut self) -> Result<(), Error> {
        // SAFETY: the page is not accessed until `receive` has seen it returned; the device itself has only the frame
        // that `KernelHal::share` substitutes for it.
        self.token = Some(unsafe { self.receive.add(&[], &mut [&mut self.page]) }?);
        if self.receive.should_notify() {
            self.transport.notify(self.numbers[0]);
        }
        Ok(())
    }

    /// Passes the bytes that arrived to `take`, if there are any.
    pub fn receive(&mut self, take: impl FnOnce(&[u8])) {
        let Some(token) = self.token.filter(|token| self.receive.peek_used() == Some(*token)) else { return };
        self.token = None;
        // SAFETY: this is the page of this token, which was just seen returned.
        let length = unsafe { self.receive.pop_used(token, &[], &mut [&mut self.page]) };
        // One that says something else now still has the page: it gets no other one.
        let Ok(length) = length else { return };
        take(self.page.get(..length as usize).unwrap_or_default());
        // The queue has room, since its only request was just removed.
        let _ = self.ask();
    }

    /// Sends all `bytes`, or as many as the device takes before it is given up.
    pub fn send(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(PIECE_SIZE) {
            let Channel { transport, numbers, transmit, .. } = self;
            if self.lost || transmit_piece(transport, numbers[1], transmit, piece).is_err() {
                self.lost = true;
                return;
            }
        }
    }
}

/// Sends a piece by a queue and its number, and waits until the device has taken it.
fn transmit_piece(
    transport: &mut OwnTransport,
    number: u16,
    queue: &mut VirtQueue<KernelHal, QUEUE_SIZE>,
    piece: &[u8],
) -> Result<(), Error> {
    // SAFETY: the piece is borrowed until it is returned. If it never is, the device still has only the frame that
    // `KernelHal::share` copied it to.
    let token = unsafe { queue.add(&[piece], &mut []) }?;
    if queue.should_notify() {
        transport.notify(number);
    }
    PATIENCE.wait(|| (queue.peek_used() == Some(token)).then_some(())).ok_or(Error::NotReady)?;
    // SAFETY: this is the piece of this token, which was just seen returned.
    unsafe { queue.pop_used(token, &[piece], &mut []) }.map(|_| ())
}

/// The reason why there is no channel.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No console is attached.
    #[error("no virtio console is attached; attach one, or boot with options for COM2")]
    Missing,
    /// The device's registers can't be used.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The device does not start.
    #[error("the virtio console does not start: {0}; boot with options for COM2")]
    Device(&'static str),
}
