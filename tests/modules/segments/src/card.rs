//! The peer's card: frames in buffers of a region.

use bareflow_abi::Out;
use bareflow_nic::{Buffer, Completion, Nic, NicError};
use bareflow_regions::{Access, RegionError, Regions, RegionsClient, Shared};

use super::runs::wait;

/// The driver of the card.
const DRIVER: &str = "second";

/// The most frames that are sent at once.
pub const MOST: usize = 32;

/// The buffers to receive into, behind those to send, and the size of each.
const RECEIVED: usize = 64;
const BUFFER_BYTES: u32 = 2048;

/// A card that was started, with all buffers to receive.
pub struct Card<'client, N> {
    nic: &'client mut N,
    view: Shared<'client>,
    memory: u32,
    /// The card's hardware address.
    pub address: [u8; 6],
}

impl<'client, N: Nic> Card<'client, N> {
    /// Starts it.
    pub fn start(nic: &'client mut N, mut regions: RegionsClient<'client>) -> Result<Card<'client, N>, NicError> {
        let bad = |_: RegionError| NicError::BadRegion;
        let mut address = [0; 6];
        nic.begin(&mut address)?;
        let region = regions.create(u64::from(BUFFER_BYTES) * (MOST + RECEIVED) as u64).map_err(bad)?;
        regions.lend(region, DRIVER, Access::Shared).map_err(bad)?;
        let memory = nic.attach(region)?;
        let view = regions.shared(region).map_err(bad)?;
        let mut card = Card { nic, view, memory, address };
        (MOST..MOST + RECEIVED).try_for_each(|place| card.give(place as u16))?;
        Ok(card)
    }

    fn buffer(&self, token: u16, length: u32) -> Buffer {
        Buffer { memory: self.memory, offset: u32::from(token) * BUFFER_BYTES, length, token, flags: 0 }
    }

    fn give(&mut self, token: u16) -> Result<(), NicError> {
        let empty = [self.buffer(token, BUFFER_BYTES)];
        let taken = self.nic.receive(&empty, &mut Out::new(&mut []))?;
        if taken == 1 { Ok(()) } else { Err(NicError::Failed) }
    }

    /// Writes a frame into a buffer to send from.
    pub fn write(&mut self, place: usize, frame: &[u8]) -> Result<(), NicError> {
        let buffer = self.view.bytes().buffer(place as u32, BUFFER_BYTES as usize).ok_or(NicError::BadBuffer)?;
        buffer.write(0, frame).map_err(|_| NicError::BadBuffer)
    }

    /// Sends the first frames, which have these lengths, and waits until they are on the wire.
    pub fn send(&mut self, lengths: &[usize]) -> Result<(), NicError> {
        let mut frames = [Buffer::default(); MOST];
        for (place, (frame, length)) in frames.iter_mut().zip(lengths).enumerate() {
            *frame = self.buffer(place as u16, *length as u32);
        }
        let mut done = [Completion::default(); MOST];
        let taken = self.nic.send(&frames[..lengths.len()], &mut Out::new(&mut []))?;
        if taken as usize != lengths.len() {
            return Err(NicError::Failed);
        }
        // None was under way before, and none of these was collected.
        wait(lengths.len(), |count| {
            let mut out = Out::new(&mut done[..count]);
            self.nic.send(&[], &mut out)?;
            Ok(out.written().len())
        })
    }

    /// Calls `each` with the frames that came.
    pub fn receive(&mut self, mut each: impl FnMut(&[u8])) -> Result<(), NicError> {
        loop {
            let mut done = [Completion::default()];
            let mut out = Out::new(&mut done);
            self.nic.receive(&[], &mut out)?;
            let [Completion { token, length, .. }] = *out.written() else { return Ok(()) };
            let mut frame = [0; BUFFER_BYTES as usize];
            let frame = frame.get_mut(..length as usize).ok_or(NicError::Failed)?;
            let buffer = self.view.bytes().buffer(token.into(), BUFFER_BYTES as usize).ok_or(NicError::Failed)?;
            buffer.read(0, frame).map_err(|_| NicError::Failed)?;
            each(frame);
            self.give(token)?;
        }
    }
}
