//! The link to the card: the memory that frames lie in, and what the card has of it.

use alloc::collections::VecDeque;

use bareflow_abi::Out;
use bareflow_abi::shared::SharedBytes;
use bareflow_nic::{Buffer, Completion, Nic, NicError};
use bareflow_regions::{Access, RegionError, Regions};
use smoltcp::time::{Duration, Instant};

use crate::port::{Card, FRAME_BYTES};

/// The module that drives the card.
const DRIVER: &str = "virtio-net";

/// The buffers, each of half a page: as many to receive as to send, and as many of each as a driver has room for.
const BUFFER_BYTES: u32 = 2048;
const EACH: u16 = 64;
const ALL: u64 = u64::MAX;

/// The time for which a frame that was sent is sent again when the card is started anew, and how often the newest is.
const RECENT: Duration = Duration::from_millis(500);
const REPEATS: usize = 3;

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
    /// The buffers to receive that the card does not have, a bit for each.
    to_give: u64,
    /// The frames that were sent, whose buffers are free, and those that are being sent, in order.
    sent: VecDeque<Frame>,
    sending: VecDeque<Frame>,
    /// The times that it was set up.
    pub starts: u64,
}

/// A frame that goes out.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// The buffer, and the frame's length: 0 for one that was never used.
    token: u16,
    length: u16,
    /// The time when it was sent.
    at: Instant,
}

impl Frame {
    fn unused(token: u16) -> Frame {
        Frame { token, length: 0, at: Instant::ZERO }
    }
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
    link: &'view mut Link,
    bytes: SharedBytes<'view>,
    came: &'view [Completion],
    now: Instant,
    /// The frames that go out.
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
            sent: VecDeque::new(),
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

    /// Starts the card, gives it the region, and sends again what was sent shortly before: what came meanwhile is lost, and that
    /// makes the other sides repeat it. Returns the card's address.
    pub fn set_up(
        &mut self,
        nic: &mut impl Nic,
        regions: &mut impl Regions,
        now: Instant,
    ) -> Result<[u8; 6], NicError> {
        let mut address = [0; 6];
        self.start = nic.begin(&mut address)?;
        if self.region == 0 {
            self.create(regions)?;
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
        let recent = self.sent.iter().filter(|frame| frame.length > 0 && now < frame.at + RECENT).count();
        let again = self.sent.split_off(self.sent.len() - recent);
        for frame in again.into_iter().rev() {
            self.sending.push_front(frame);
        }
        self.is_up = true;
        self.starts += 1;
        self.send_last(nic, self.sending.len())?;
        Ok(address)
    }

    fn create(&mut self, regions: &mut impl Regions) -> Result<(), NicError> {
        for list in [&mut self.sent, &mut self.sending] {
            list.clear();
            list.try_reserve(EACH.into()).map_err(|_| NicError::BadRegion)?;
        }
        self.sent.extend((EACH..2 * EACH).map(Frame::unused));
        let bytes = u64::from(BUFFER_BYTES) * u64::from(2 * EACH);
        self.region = regions.create(bytes).map_err(|_| NicError::BadRegion)?;
        Ok(())
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
    pub fn batch<'view>(&'view mut self, bytes: SharedBytes<'view>, came: &'view Came, now: Instant) -> Batch<'view> {
        Batch { link: self, bytes, came: &came.frames[..came.count], now, count: 0 }
    }

    /// Sends the frames of a batch, and gives the card the buffers that are free.
    pub fn pass_on(&mut self, nic: &mut impl Nic, count: usize) -> Result<(), NicError> {
        self.send_last(nic, count)?;
        self.give(nic)
    }

    /// Gives the card the last frames of those that are to be sent. What it has no room for is dropped, as any network does.
    fn send_last(&mut self, nic: &mut impl Nic, count: usize) -> Result<(), NicError> {
        if count == 0 {
            return Ok(());
        }
        let mut frames = [Buffer::default(); EACH as usize];
        let first = self.sending.len() - count;
        for (place, frame) in frames.iter_mut().zip(self.sending.range(first..)) {
            *place = self.buffer(frame.token, u32::from(frame.length));
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
        let place = self.sending.iter().position(|frame| frame.token == token);
        if let Some(frame) = place.and_then(|place| self.sending.remove(place)) {
            self.sent.push_back(frame);
        }
    }
}

impl Batch<'_> {
    /// Returns how many frames go out.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Sends the newest frame again, as often as makes TCP's other side take it that something was lost (RFC 5681).
    pub fn repeat_newest(&mut self) {
        let Some(&Frame { token, length, .. }) = self.link.sending.back() else { return };
        let mut copy = [0; FRAME_BYTES];
        let Some(copy) = copy.get_mut(..length.into()) else { return };
        if self.buffer(token).is_some_and(|bytes| bytes.read(0, copy).is_ok()) {
            (0..REPEATS).for_each(|_| self.send(copy));
        }
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
        !self.link.sent.is_empty()
    }

    fn send(&mut self, frame: &[u8]) {
        let Some(Frame { token, .. }) = self.link.sent.pop_front() else { return };
        let written = self.buffer(token).is_some_and(|target| target.write(0, frame).is_ok());
        if written {
            self.link.sending.push_back(Frame { token, length: frame.len() as u16, at: self.now });
            self.count += 1;
        } else {
            self.link.sent.push_back(Frame::unused(token));
        }
    }
}
