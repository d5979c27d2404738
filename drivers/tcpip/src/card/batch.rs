//! The frames of a batch, which come and go at once, in the memory that they lie in.

use bareflow_abi::Out;
use bareflow_abi::shared::SharedBytes;
use bareflow_nic::{Buffer, Completion, Nic, NicError};

use super::buffers::{BUFFER_BYTES, Buffers, Frame};
use crate::port::{FRAME_BYTES, Frames};

/// The frames that are received at once.
pub const BATCH: usize = 32;

/// The number of times that a frame is repeated. If it acknowledges without data, its connection's other side takes it that
/// something was lost (RFC 5681); any other side finds that out by its own timer.
pub const REPEATS: usize = 3;

/// The frames that came, and the most that there was room for.
#[derive(Debug)]
pub struct Came {
    frames: [Completion; BATCH],
    count: usize,
    room: usize,
}

impl Came {
    /// Makes room for a batch of them, or for `most` if those are fewer.
    pub fn new(most: usize) -> Came {
        Came { frames: [Completion::default(); BATCH], count: 0, room: most.min(BATCH) }
    }

    /// Receives them, and gives the card buffers. Returns how many of those it took.
    pub fn receive(&mut self, nic: &mut impl Nic, empty: &[Buffer]) -> Result<u32, NicError> {
        let mut out = Out::new(&mut self.frames[..self.room]);
        let taken = nic.receive(empty, &mut out)?;
        self.count = out.written().len();
        Ok(taken)
    }

    /// Returns the frames.
    pub fn frames(&self) -> &[Completion] {
        &self.frames[..self.count]
    }

    /// Returns whether there may be more.
    pub fn is_full(&self) -> bool {
        self.count == self.room
    }

    /// Returns whether none could be received.
    pub fn had_no_room(&self) -> bool {
        self.room == 0
    }
}

/// The frames that came, and those that go out.
#[derive(Debug)]
pub struct Batch<'view> {
    buffers: &'view mut Buffers,
    bytes: SharedBytes<'view>,
    came: &'view [Completion],
    /// The number of frames that go out.
    count: usize,
}

impl<'view> Batch<'view> {
    /// Makes one in which no frame goes out yet.
    pub fn new(buffers: &'view mut Buffers, bytes: SharedBytes<'view>, came: &'view [Completion]) -> Batch<'view> {
        Batch { buffers, bytes, came, count: 0 }
    }

    /// Returns how many frames go out.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Sends the newest frame again, a few times.
    pub fn repeat_newest(&mut self) {
        let Some(Frame { token, length }) = self.buffers.newest() else { return };
        let mut copy = [0; FRAME_BYTES];
        let Some(copy) = copy.get_mut(..length.into()) else { return };
        if buffer(self.bytes, token).is_some_and(|bytes| bytes.read(0, copy).is_ok()) {
            (0..REPEATS).for_each(|_| self.send(copy));
        }
    }
}

impl Frames for Batch<'_> {
    fn receive(&mut self, frame: &mut [u8; FRAME_BYTES]) -> Option<usize> {
        loop {
            let (done, rest) = self.came.split_first()?;
            self.came = rest;
            let room = frame.get_mut(..done.length as usize);
            let read = room.and_then(|room| buffer(self.bytes, done.token)?.read(0, room).ok());
            if read.is_some() {
                return Some(done.length as usize);
            }
        }
    }

    fn has_room(&self) -> bool {
        self.buffers.free_to_send() > 0
    }

    fn send(&mut self, frame: &[u8]) {
        let bytes = self.bytes;
        let write = |token| buffer(bytes, token).is_some_and(|target| target.write(0, frame).is_ok());
        self.count += usize::from(self.buffers.send(frame.len(), write));
    }
}

fn buffer(bytes: SharedBytes<'_>, token: u16) -> Option<SharedBytes<'_>> {
    bytes.buffer(token.into(), BUFFER_BYTES as usize)
}
