//! A driver for virtio's network card in the module that uses it, which needs no checks of who calls.

use bareflow_abi::Out;
use bareflow_device::{Device, DeviceClient, DeviceError, Virtio, VirtioClient};
use bareflow_nic::{Buffer, Completion, Nic, NicError};
use bareflow_regions::{Regions, RegionsClient};

use super::card::MOST;

const CARD: u32 = 0;
const RECEIVE: u32 = 0;
const TRANSMIT: u32 = 1;

/// The length of the header before a frame, and the places of those of frames that are received and sent.
const HEADER_BYTES: u32 = 12;
const RECEIVED_HEADER: u32 = 0;
const SENT_HEADER: u32 = 64;

/// A card that runs.
pub struct Driver<'call> {
    device: DeviceClient<'call>,
    virtio: VirtioClient<'call>,
    /// The number of the memory with the headers.
    headers: u32,
}

impl<'call> Driver<'call> {
    /// Starts the card.
    pub fn start(
        mut device: DeviceClient<'call>,
        mut virtio: VirtioClient<'call>,
        regions: &mut RegionsClient<'_>,
    ) -> Result<Driver<'call>, NicError> {
        // Open or not.
        _ = device.close(CARD);
        device.open(CARD)?;
        virtio.negotiate(CARD, 0)?;
        for queue in [RECEIVE, TRANSMIT] {
            virtio.queue(CARD, queue, 4 * MOST as u32)?;
        }
        virtio.interrupt(CARD, TRANSMIT, false)?;
        let region = regions.create(u64::from(SENT_HEADER + HEADER_BYTES)).map_err(|_| DeviceError::NoMemory)?;
        let headers = device.attach(CARD, region)?;
        virtio.start(CARD)?;
        Ok(Driver { device, virtio, headers })
    }

    fn exchange(&mut self, queue: u32, frames: &[Buffer], into: &mut Out<'_, Completion>) -> Result<u32, NicError> {
        // As in the driver of a module of its own, little room is made for a frame.
        match frames.len() {
            0..=2 => self.pass::<2>(queue, frames, into),
            _ => self.pass::<MOST>(queue, frames, into),
        }
    }

    fn pass<const N: usize>(
        &mut self,
        queue: u32,
        frames: &[Buffer],
        into: &mut Out<'_, Completion>,
    ) -> Result<u32, NicError> {
        let (offset, flags) = if queue == TRANSMIT { (SENT_HEADER, 0) } else { (RECEIVED_HEADER, Buffer::WRITE) };
        let memory = self.headers;
        let header = Buffer { memory, offset, length: HEADER_BYTES, token: 0, flags: flags | Buffer::NEXT };
        let mut chains = [[header; 2]; N];
        for ([header, own], frame) in chains.iter_mut().zip(frames) {
            header.token = frame.token;
            *own = Buffer { flags, ..*frame };
        }
        let buffers = chains.get(..frames.len()).unwrap_or_default().as_flattened();
        Ok(self.virtio.exchange(CARD, queue, buffers, into, queue == RECEIVE)? / 2)
    }
}

impl Nic for Driver<'_> {
    fn begin(&mut self, _: &mut [u8]) -> Result<(), NicError> {
        Ok(())
    }

    fn attach(&mut self, region: u32) -> Result<u32, NicError> {
        Ok(self.device.attach(CARD, region)?)
    }

    fn receive(&mut self, empty: &[Buffer], into: &mut Out<'_, Completion>) -> Result<u32, NicError> {
        self.exchange(RECEIVE, empty, into)
    }

    fn send(&mut self, frames: &[Buffer], into: &mut Out<'_, Completion>) -> Result<u32, NicError> {
        self.exchange(TRANSMIT, frames, into)
    }
}
