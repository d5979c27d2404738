//! The card, as smoltcp sees it.

use smoltcp::phy::{self, Device, DeviceCapabilities, Medium};
use smoltcp::time::Instant;

use crate::sequence::{Direction, Key};

/// The length of the longest frame that is received or sent: 1,500 bytes behind a header.
pub const FRAME_BYTES: usize = 1514;

/// The room for a frame that smoltcp makes: it compares the length without the header with that of a frame.
const ROOM_BYTES: usize = 1528;

/// The frames that came, and room for those that go out.
pub trait Frames {
    /// Copies the next frame that came, and passes by those that do not fit. Returns its length; `None` if there is none.
    fn receive(&mut self, frame: &mut [u8; FRAME_BYTES]) -> Option<usize>;

    /// Returns whether there is room for a frame to be sent.
    fn has_room(&self) -> bool;

    /// Takes a frame, for which there is room.
    fn send(&mut self, frame: &[u8]);
}

/// The frames of a card that is not there.
#[derive(Debug)]
pub struct NoFrames;

impl Frames for NoFrames {
    fn receive(&mut self, _: &mut [u8; FRAME_BYTES]) -> Option<usize> {
        None
    }

    fn has_room(&self) -> bool {
        false
    }

    fn send(&mut self, _: &[u8]) {}
}

/// The copies of the frames that come in and go out.
#[derive(Debug)]
pub struct Copies {
    incoming: [u8; FRAME_BYTES],
    outgoing: [u8; ROOM_BYTES],
}

impl Copies {
    /// Makes room for them.
    pub const fn new() -> Copies {
        Copies { incoming: [0; FRAME_BYTES], outgoing: [0; ROOM_BYTES] }
    }
}

/// The frames, with what is done to each.
pub struct Port<'poll, F> {
    /// The frames.
    pub frames: &'poll mut F,
    /// The copies.
    pub copies: &'poll mut Copies,
    /// The key of the sequence numbers.
    pub key: Key,
}

impl<F: Frames> Device for Port<'_, F> {
    type RxToken<'token>
        = Incoming<'token>
    where
        Self: 'token;
    type TxToken<'token>
        = Outgoing<'token, F>
    where
        Self: 'token;

    fn receive(&mut self, _: Instant) -> Option<(Incoming<'_>, Outgoing<'_, F>)> {
        // Any frame may have an answer.
        if !self.frames.has_room() {
            return None;
        }
        let length = self.frames.receive(&mut self.copies.incoming)?;
        let frame = self.copies.incoming.get_mut(..length)?;
        self.key.shift(frame, Direction::In);
        Some((Incoming(frame), Outgoing { frames: self.frames, copy: &mut self.copies.outgoing, key: self.key }))
    }

    fn transmit(&mut self, _: Instant) -> Option<Outgoing<'_, F>> {
        let has_room = self.frames.has_room();
        has_room.then_some(Outgoing { frames: self.frames, copy: &mut self.copies.outgoing, key: self.key })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = FRAME_BYTES;
        capabilities
    }
}

/// A frame that came.
pub struct Incoming<'token>(&'token [u8]);

impl phy::RxToken for Incoming<'_> {
    fn consume<R, W: FnOnce(&[u8]) -> R>(self, work: W) -> R {
        work(self.0)
    }
}

/// Room for a frame to be sent.
pub struct Outgoing<'token, F> {
    frames: &'token mut F,
    copy: &'token mut [u8; ROOM_BYTES],
    key: Key,
}

impl<F: Frames> phy::TxToken for Outgoing<'_, F> {
    fn consume<R, W: FnOnce(&mut [u8]) -> R>(self, length: usize, work: W) -> R {
        let frame = &mut self.copy[..length];
        let done = work(frame);
        if length <= FRAME_BYTES {
            self.key.shift(frame, Direction::Out);
            self.frames.send(frame);
        }
        done
    }
}
