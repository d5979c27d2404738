//! A card, by its driver.

use bareflow_abi::Out;
use bareflow_nic::{Buffer, Completion, Nic, NicError};
use bareflow_regions::{Access, RegionError, Regions, RegionsClient};

/// The most frames at a time.
pub const MOST: usize = 32;

/// The size of a buffer. A card sends the first [`MOST`] of its buffers, and receives into as many others.
pub const BUFFER_BYTES: u32 = 2048;

/// The size of the region with all buffers of a card.
pub const REGION_BYTES: u64 = 2 * MOST as u64 * BUFFER_BYTES as u64;

/// The addresses and the type of a frame for all: one for experiments (IEEE 802, 9.2.3).
const HEADER: [u8; 14] = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x88, 0xb5];

/// A card, and the number of the memory that it has of this module.
pub struct Card<'client, N> {
    pub nic: &'client mut N,
    pub memory: u32,
}

impl<N: Nic> Card<'_, N> {
    /// Returns buffers from the number `first` on.
    fn buffers(&self, first: usize, length: u32) -> [Buffer; MOST] {
        core::array::from_fn(|index| {
            let token = (first + index) as u16;
            Buffer { memory: self.memory, offset: u32::from(token) * BUFFER_BYTES, length, token, flags: 0 }
        })
    }

    pub fn receive(&mut self, count: usize) -> Result<(), NicError> {
        let buffers = self.buffers(MOST, BUFFER_BYTES);
        all(self.nic.receive(&buffers[..count])?, count)
    }

    pub fn send(&mut self, count: usize, length: u32) -> Result<(), NicError> {
        let buffers = self.buffers(0, length);
        all(self.nic.send(&buffers[..count])?, count)
    }

    /// Returns how many frames were received. If there is room for more, the driver is told of the next.
    pub fn received(&mut self, room: usize) -> Result<usize, NicError> {
        let mut done = [Completion::default(); MOST + 1];
        let mut out = Out::new(&mut done[..room]);
        self.nic.received(&mut out)?;
        Ok(out.written().len())
    }

    /// Returns how many frames were sent.
    pub fn sent(&mut self, count: usize) -> Result<usize, NicError> {
        let mut done = [Completion::default(); MOST + 1];
        let mut out = Out::new(&mut done[..=count]);
        self.nic.sent(&mut out)?;
        Ok(out.written().len())
    }
}

/// Returns an error unless a card took all frames.
fn all(taken: u32, count: usize) -> Result<(), NicError> {
    if taken as usize == count { Ok(()) } else { Err(NicError::Failed) }
}

/// Starts a card, and gives it memory with frames to send. Returns also the number of that region.
pub fn set_up<'client, N: Nic>(
    nic: &'client mut N,
    driver: Option<&str>,
    regions: &mut RegionsClient<'_>,
) -> Result<(Card<'client, N>, u32), NicError> {
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
    Ok((Card { memory: nic.attach(region)?, nic }, region))
}
