//! The channel to the host through a virtio console (5.3 of the specification): it transfers pages at a time, where a
//! serial port transfers a byte at a time.
//!
//! The crate's own driver allocates memory for each request, returns bytes one by one and waits without a limit. This
//! one therefore uses only the crate's queues.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::hint::spin_loop;

use bitflags::bitflags;
use virtio_drivers::Error;
use virtio_drivers::queue::VirtQueue;
use virtio_drivers::transport::{DeviceType, SomeTransport, Transport};

use super::hal::{KernelHal, PIECE_SIZE, prepare};
use super::{TransportError, find, reason};

/// The queues of the only port.
const RECEIVE: u16 = 0;
const TRANSMIT: u16 = 1;

/// The size of a queue, in requests.
const QUEUE_SIZE: usize = 2;

/// The number of polls for a piece before the device is given up: ten seconds and more.
const PATIENCE: u64 = 1 << 31;

bitflags! {
    /// The features of the device that are used.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct Features: u64 {
        const VERSION_1 = 1 << 32;
    }
}

/// The channel.
pub struct Channel {
    transport: SomeTransport<'static>,
    receive: VirtQueue<KernelHal, QUEUE_SIZE>,
    transmit: VirtQueue<KernelHal, QUEUE_SIZE>,
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

    fn start(mut transport: SomeTransport<'static>) -> Result<Channel, Error> {
        let mut page = Vec::new();
        // A piece for each direction.
        if !prepare(2) || page.try_reserve_exact(PIECE_SIZE).is_err() {
            return Err(Error::DmaError);
        }
        page.resize(PIECE_SIZE, 0);
        transport.begin_init(Features::VERSION_1);
        let receive = VirtQueue::new(&mut transport, RECEIVE, false, false)?;
        let transmit = VirtQueue::new(&mut transport, TRANSMIT, false, false)?;
        transport.finish_init();
        let page = page.into_boxed_slice();
        let mut channel = Channel { transport, receive, transmit, page, token: None, lost: false };
        channel.ask()?;
        Ok(channel)
    }

    /// Gives the buffer to the device.
    fn ask(&mut self) -> Result<(), Error> {
        // SAFETY: the page is not accessed until `receive` has seen it returned; the device itself has only the frame
        // that `KernelHal::share` substitutes for it.
        self.token = Some(unsafe { self.receive.add(&[], &mut [&mut self.page]) }?);
        if self.receive.should_notify() {
            self.transport.notify(RECEIVE);
        }
        Ok(())
    }

    /// Passes the bytes that arrived to `take`, if there are any.
    pub fn receive(&mut self, take: impl FnOnce(&[u8])) {
        let Some(token) = self.token.filter(|token| self.receive.peek_used() == Some(*token)) else { return };
        self.token = None;
        // SAFETY: this is the page of this token, which was just seen returned.
        let length = unsafe { self.receive.pop_used(token, &[], &mut [&mut self.page]) };
        let came = length.ok().and_then(|length| self.page.get(..usize::try_from(length).ok()?));
        take(came.unwrap_or_default());
        // The queue has room, since its only request was just removed.
        let _ = self.ask();
    }

    /// Sends all `bytes`, or as many as the device takes before it is given up.
    pub fn send(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(PIECE_SIZE) {
            if self.lost || self.send_piece(piece).is_err() {
                self.lost = true;
                return;
            }
        }
    }

    fn send_piece(&mut self, piece: &[u8]) -> Result<(), Error> {
        // SAFETY: the piece is borrowed until it is returned. If it never is, the device still has only the frame
        // that `KernelHal::share` copied it to.
        let token = unsafe { self.transmit.add(&[piece], &mut []) }?;
        if self.transmit.should_notify() {
            self.transport.notify(TRANSMIT);
        }
        let taken = (0..PATIENCE).any(|_| {
            spin_loop();
            self.transmit.peek_used() == Some(token)
        });
        if !taken {
            return Err(Error::NotReady);
        }
        // SAFETY: this is the piece of this token, which was just seen returned.
        unsafe { self.transmit.pop_used(token, &[piece], &mut []) }.map(|_| ())
    }
}

/// The reason why there is no channel.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No console is attached.
    #[error("no virtio console is attached; attach one, or boot with channel=com2")]
    Missing,
    /// The device's registers can't be used.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The device does not start.
    #[error("the virtio console does not start: {0}; boot with channel=com2")]
    Device(&'static str),
}
