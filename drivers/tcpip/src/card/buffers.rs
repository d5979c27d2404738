//! The buffers of frames: as many to receive as to send, and as many of each as a driver has room for.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bareflow_nic::Buffer;

/// The size of a buffer: half a page.
pub const BUFFER_BYTES: u32 = 2048;

/// The number of buffers to receive, which come first, and of those to send.
pub const EACH: u16 = 64;

/// A bit for each buffer to receive.
const ALL: u64 = u64::MAX;
const _: () = assert!(EACH as u32 == u64::BITS);

/// A frame that goes out: its buffer and its length.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    pub token: u16,
    pub length: u16,
}

/// The buffers, by their numbers, which are their tokens.
#[derive(Debug)]
pub struct Buffers {
    /// Those to receive that the card does not have: a bit for each.
    to_give: u64,
    /// Those to send that are free, and the frames in the others, in order.
    free: Vec<u16>,
    sending: VecDeque<Frame>,
    /// The frame that was sent last.
    newest: Option<Frame>,
}

impl Buffers {
    /// Makes them without those to send.
    pub const fn new() -> Buffers {
        Buffers { to_give: ALL, free: Vec::new(), sending: VecDeque::new(), newest: None }
    }

    /// Frees all buffers to send. Returns whether there is memory for them.
    pub fn reset(&mut self) -> bool {
        self.free.clear();
        self.sending.clear();
        self.newest = None;
        let has_room = self.free.try_reserve(EACH.into()).is_ok() && self.sending.try_reserve(EACH.into()).is_ok();
        if has_room {
            self.free.extend(EACH..2 * EACH);
        }
        has_room
    }

    /// Notes that the card has none to receive.
    pub const fn take_all(&mut self) {
        self.to_give = ALL;
    }

    /// Notes that the card is done with one to receive, or does not take it.
    pub const fn take(&mut self, token: u16) {
        if token < EACH {
            self.to_give |= 1 << token;
        }
    }

    /// Returns those to receive that the card does not have, and their number. It has them from now on.
    pub fn give(&mut self, memory: u32) -> ([Buffer; EACH as usize], usize) {
        let mut buffers = [Buffer::default(); EACH as usize];
        let mut count = 0;
        while self.to_give != 0 {
            let token = self.to_give.trailing_zeros() as u16;
            self.to_give &= self.to_give - 1;
            buffers[count] = buffer(memory, token, BUFFER_BYTES);
            count += 1;
        }
        (buffers, count)
    }

    /// Returns the number of those to receive that the card does not have.
    pub const fn free_to_receive(&self) -> usize {
        self.to_give.count_ones() as usize
    }

    /// Returns the number of those to send that are free.
    pub fn free_to_send(&self) -> usize {
        self.free.len()
    }

    /// Takes a free one, which `write` fills with a frame of a length. Returns whether it did.
    pub fn send(&mut self, length: usize, write: impl FnOnce(u16) -> bool) -> bool {
        let Some(token) = self.free.pop() else { return false };
        let is_written = write(token);
        if is_written {
            let frame = Frame { token, length: length as u16 };
            self.newest = Some(frame);
            self.sending.push_back(frame);
        } else {
            self.free.push(token);
        }
        is_written
    }

    /// Returns the number of frames that are being sent.
    pub fn sending(&self) -> usize {
        self.sending.len()
    }

    /// Returns the frame that was sent last, whose bytes are still there.
    pub const fn newest(&self) -> Option<Frame> {
        self.newest
    }

    /// Returns the last frames of those that are being sent.
    pub fn last(&self, memory: u32, count: usize) -> [Buffer; EACH as usize] {
        let mut frames = [Buffer::default(); EACH as usize];
        let first = self.sending.len() - count;
        for (place, frame) in frames.iter_mut().zip(self.sending.range(first..)) {
            *place = buffer(memory, frame.token, frame.length.into());
        }
        frames
    }

    /// Frees one that was sent, or is not to be. One that is not being sent is passed by.
    pub fn free(&mut self, token: u16) {
        let place = self.sending.iter().position(|frame| frame.token == token);
        if let Some(frame) = place.and_then(|place| self.sending.remove(place)) {
            self.free.push(frame.token);
        }
    }
}

fn buffer(memory: u32, token: u16, length: u32) -> Buffer {
    Buffer { memory, offset: u32::from(token) * BUFFER_BYTES, length, token, flags: 0 }
}
