//! A card, by its driver.

use bareflow_abi::Out;
use bareflow_nic::{Buffer, Completion, Nic, NicError};
use bareflow_regions::{Access, RegionError, Regions, RegionsClient};

/// The most frames at a time.
pub const MOST: usize = 32;

/// The size of a buffer. A card sends the first [`MOST`] of its buffers, and receives into twice as many others.
pub const BUFFER_BYTES: u32 = 2048;

/// The size of the region with all buffers of a card.
pub const REGION_BYTES: u64 = 3 * MOST as u64 * BUFFER_BYTES as u64;

/// The addresses and the type of a frame for all: one for experiments (IEEE 802, 9.2.3).
const HEADER: [u8; 14] = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x88, 0xb5];

/// A card. What calls are made with is ready before they are measured.
pub struct Card<'client, N> {
    pub nic: &'client mut N,
    /// The buffers to receive into: those that it gets next, and those that it has or that were read.
    empty: [[Buffer; MOST]; 2],
    frames: [Buffer; MOST],
    done: [Completion; MOST + 1],
}

impl<'client, N: Nic> Card<'client, N> {
    /// Returns a card that has memory of this module.
    pub fn new(nic: &'client mut N, memory: u32) -> Card<'client, N> {
        let buffers = |half: usize| {
            core::array::from_fn(|index| {
                let token = (half * MOST + index) as u16;
                let offset = u32::from(token) * BUFFER_BYTES;
                Buffer { memory, offset, length: BUFFER_BYTES, token, flags: 0 }
            })
        };
        let done = [Completion::default(); MOST + 1];
        Card { nic, empty: [buffers(1), buffers(2)], frames: buffers(0), done }
    }

    /// Sets the length of the frames that are sent.
    pub fn set_length(&mut self, length: u32) {
        self.frames.iter_mut().for_each(|frame| frame.length = length);
    }

    /// Exchanges the two halves of the buffers to receive into.
    pub fn turn(&mut self) {
        self.empty.swap(0, 1);
    }

    /// Gives the card buffers to receive into, and receives what there is. Returns how many frames that are; with room for more, the driver
    /// is told of the next one.
    pub fn receive(&mut self, give: usize, room: usize) -> Result<usize, NicError> {
        let mut out = Out::new(&mut self.done[..room]);
        all(self.nic.receive(&self.empty[0][..give], &mut out)?, give)?;
        Ok(out.written().len())
    }

    /// Sends frames. Returns how many of those before were sent since the last time.
    pub fn send(&mut self, count: usize) -> Result<usize, NicError> {
        let mut out = Out::new(&mut self.done[..count.max(1)]);
        all(self.nic.send(&self.frames[..count], &mut out)?, count)?;
        Ok(out.written().len())
    }

    /// Takes the buffers back of all frames that were sent.
    pub fn finish_sending(&mut self) -> Result<(), NicError> {
        while self.send(0)? > 0 {}
        Ok(())
    }
}

/// Returns an error unless a card took all frames.
fn all(taken: u32, count: usize) -> Result<(), NicError> {
    if taken as usize == count { Ok(()) } else { Err(NicError::Failed) }
}

/// Starts a card, and gives it memory with frames to send. Returns also the numbers of that region and of
/// the card's memory.
pub fn set_up<'client, N: Nic>(
    nic: &'client mut N,
    driver: Option<&str>,
    regions: &mut RegionsClient<'_>,
) -> Result<(Card<'client, N>, [u32; 2]), NicError> {
    let bad = |_: RegionError| NicError::BadRegion;
    nic.begin(&mut [0; 6])?;
    let region = regions.create(REGION_BYTES).map_err(bad)?;
    let mut bytes = regions.exclusive(region).map_err(bad)?;
    for frame in bytes.chunks_exact_mut(BUFFER_BYTES as usize).take(MOST) {
        frame[..HEADER.len()].copy_from_slice(&HEADER);
    }
    drop(bytes);
    // A driver of the module's own has it already.
    driver.map_or(Ok(()), |driver| regions.lend(region, driver, Access::Shared)).map_err(bad)?;
    let memory = nic.attach(region)?;
    Ok((Card::new(nic, memory), [region, memory]))
}
