//! The link to the card: the memory that frames lie in, and what the card has of it.

use alloc::collections::VecDeque;

use bareflow_abi::Out;
use bareflow_abi::shared::SharedBytes;
use bareflow_nic::{Buffer, Completion, Nic, NicError};
use bareflow_regions::{Access, RegionError, Regions};

use crate::port::{Card, FRAME_BYTES};

/// The module that drives the card.
const DRIVER: &str = "virtio-net";

/// The buffers, each of half a page: as many to receive as to send, and as many of each as a driver has room for.
const BUFFER_BYTES: u32 = 2048;
const EACH: u16 = 64;
const ALL: u64 = u64::MAX;

/// The frames that are received at once.
const BATCH: usize = 32;

/// The link to the card.
#[derive(Debug)]
pub struct Link {
    /// The region with the buffers; 0 before it is created. Those to receive come first.
    region: u32,
    /// Whether the card runs and has the region, the number of that memory, and that of the start since which it has it.
    is_up: bool,
    memory: u32,
    start: u32,
    /// The buffers to receive that the card does not have, and the buffers to send that are free: a bit for each.
    to_give: u64,
    to_send: u64,
    /// The frames that are being sent, in order: their buffers and their lengths.
    sending: VecDeque<(u16, u16)>,
    /// How often it was set up.
    pub starts: u64,
}

/// The frames that came.
#[derive(Debug)]
pub struct Came {
    frames: [Completion; BATCH],
    count: usize,
}

impl Came {
    /// Returns whether there may be more.
    pub fn is_full(&self) -> bool {
        self.count == BATCH
    }
}

/// The frames of one exchange with the card, in the memory that they lie in.
#[derive(Debug)]
pub struct Batch<'view> {
    bytes: SharedBytes<'view>,
    came: &'view [Completion],
    free: u64,
    sent: [(u16, u16); EACH as usize],
    count: usize,
}

impl Link {
    /// Makes a link that is not set up.
    pub const fn new() -> Link {
        Link {
            region: 0,
            is_up: false,
            memory: 0,
            start: 0,
            to_give: ALL,
            to_send: ALL,
            sending: VecDeque::new(),
            starts: 0,
        }
    }

    /// Returns whether it is set up.
    pub fn is_up(&self) -> bool {
        self.is_up
    }

    /// Returns the region with the buffers.
    pub fn region(&self) -> u32 {
        self.region
    }

    /// Notes that the card has nothing any more.
    pub fn lose(&mut self) {
        self.is_up = false;
    }

    /// Starts the card, gives it the region, and sends again what was being sent. Returns the card's address.
    pub fn set_up(&mut self, nic: &mut impl Nic, regions: &mut impl Regions) -> Result<[u8; 6], NicError> {
        let mut address = [0; 6];
        self.start = nic.begin(&mut address)?;
        if self.region == 0 {
            let bytes = u64::from(BUFFER_BYTES) * u64::from(2 * EACH);
            self.region = regions.create(bytes).map_err(|_| NicError::BadRegion)?;
        }
        // A driver that was not replaced has it still.
        match regions.lend(self.region, DRIVER, Access::Shared) {
            Ok(()) | Err(RegionError::Lent) => {}
            Err(_) => {
                _ = regions.take_back(self.region);
                return Err(NicError::BadRegion);
            }
        }
        self.memory = nic.attach(self.region)?;
        self.to_give = ALL;
        self.give(nic)?;
        let count = self.sending.len();
        self.is_up = true;
        self.starts += 1;
        self.send_last(nic, count)?;
        Ok(address)
    }

    /// Collects the frames that came, and those that were sent. Returns `None` if the card was started anew.
    pub fn collect(&mut self, nic: &mut impl Nic) -> Result<Option<Came>, NicError> {
        if !self.sending.is_empty() {
            let mut sent = [Completion::default(); EACH as usize];
            let mut out = Out::new(&mut sent);
            nic.sent(&mut out)?;
            for done in out.written() {
                self.free(done.token);
            }
        }
        let mut came = Came { frames: [Completion::default(); BATCH], count: 0 };
        let mut out = Out::new(&mut came.frames);
        let start = nic.received(&mut out)?;
        came.count = out.written().len();
        if start != self.start {
            return Ok(None);
        }
        for done in came.frames.iter().take(came.count).filter(|done| done.token < EACH) {
            self.to_give |= 1 << done.token;
        }
        Ok(Some(came))
    }

    /// Returns the frames that came, and room for those that go out.
    pub fn batch<'view>(&self, bytes: SharedBytes<'view>, came: &'view Came) -> Batch<'view> {
        Batch { bytes, came: &came.frames[..came.count], free: self.to_send, sent: [(0, 0); EACH as usize], count: 0 }
    }

    /// Sends the frames of a batch, and gives the card the buffers that are free.
    pub fn pass_on(&mut self, nic: &mut impl Nic, sent: &[(u16, u16)]) -> Result<(), NicError> {
        for &(token, length) in sent {
            self.to_send &= !(1 << (token - EACH));
            self.sending.push_back((token, length));
        }
        self.send_last(nic, sent.len())?;
        self.give(nic)
    }

    /// Gives the card the last frames of those that are to be sent. What it has no room for is dropped, as any network does.
    fn send_last(&mut self, nic: &mut impl Nic, count: usize) -> Result<(), NicError> {
        if count == 0 {
            return Ok(());
        }
        let mut frames = [Buffer::default(); EACH as usize];
        let first = self.sending.len() - count;
        for (frame, (token, length)) in frames.iter_mut().zip(self.sending.range(first..)) {
            *frame = self.buffer(*token, u32::from(*length));
        }
        let taken = nic.send(&frames[..count])? as usize;
        for dropped in frames[..count].iter().skip(taken) {
            self.free(dropped.token);
        }
        Ok(())
    }

    /// Gives the card the buffers to receive that it does not have.
    fn give(&mut self, nic: &mut impl Nic) -> Result<(), NicError> {
        let mut buffers = [Buffer::default(); EACH as usize];
        let mut count = 0;
        for token in (0..EACH).filter(|token| self.to_give & 1 << token != 0) {
            buffers[count] = self.buffer(token, BUFFER_BYTES);
            count += 1;
        }
        let taken = if count == 0 { 0 } else { nic.receive(&buffers[..count])? as usize };
        for given in buffers[..count].iter().take(taken) {
            self.to_give &= !(1 << given.token);
        }
        Ok(())
    }

    fn buffer(&self, token: u16, length: u32) -> Buffer {
        Buffer { memory: self.memory, offset: u32::from(token) * BUFFER_BYTES, length, token, flags: 0 }
    }

    /// Takes a buffer back that was sent. One that was not is passed by.
    fn free(&mut self, token: u16) {
        if let Some(place) = self.sending.iter().position(|(sent, _)| *sent == token) {
            self.sending.remove(place);
            self.to_send |= 1 << (token - EACH);
        }
    }
}

impl Batch<'_> {
    /// Returns the frames that go out: their buffers and their lengths.
    pub fn sent(&self) -> &[(u16, u16)] {
        &self.sent[..self.count]
    }

    fn buffer(&self, token: u16) -> Option<SharedBytes<'_>> {
        self.bytes.buffer(token.into(), BUFFER_BYTES as usize)
    }
}

impl Card for Batch<'_> {
    fn receive(&mut self, frame: &mut [u8; FRAME_BYTES]) -> Option<usize> {
        loop {
            let (done, rest) = self.came.split_first()?;
            self.came = rest;
            let room = frame.get_mut(..done.length as usize);
            let read = room.and_then(|room| self.buffer(done.token)?.read(0, room).ok());
            if read.is_some() {
                return Some(done.length as usize);
            }
        }
    }

    fn has_room(&self) -> bool {
        self.free != 0
    }

    fn send(&mut self, frame: &[u8]) {
        let place = self.free.trailing_zeros() as u16;
        let token = EACH + place;
        let Some(target) = (place < EACH).then(|| self.buffer(token)).flatten() else { return };
        if target.write(0, frame).is_ok() {
            self.free &= !(1 << place);
            self.sent[self.count] = (token, frame.len() as u16);
            self.count += 1;
        }
    }
}
