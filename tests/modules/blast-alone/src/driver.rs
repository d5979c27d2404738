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

    fn submit(&mut self, queue: u32, frames: &[Buffer], offset: u32, flags: u16) -> Result<u32, NicError> {
        let header =
            Buffer { memory: self.headers, offset, length: HEADER_BYTES, token: 0, flags: flags | Buffer::NEXT };
        let mut buffers = [header; 2 * MOST];
        for (two, frame) in buffers.chunks_exact_mut(2).zip(frames) {
            two[0].token = frame.token;
            two[1] = Buffer { flags, ..*frame };
        }
        Ok(self.virtio.submit(CARD, queue, &buffers[..2 * frames.len()])? / 2)
    }
}

impl Nic for Driver<'_> {
    fn begin(&mut self, _: &mut [u8]) -> Result<u32, NicError> {
        Ok(0)
    }

    fn attach(&mut self, region: u32) -> Result<u32, NicError> {
        Ok(self.device.attach(CARD, region)?)
    }

    fn receive(&mut self, buffers: &[Buffer]) -> Result<u32, NicError> {
        self.submit(RECEIVE, buffers, RECEIVED_HEADER, Buffer::WRITE)
    }

    fn received(&mut self, into: &mut Out<'_, Completion>) -> Result<u32, NicError> {
        self.virtio.collect(CARD, RECEIVE, into)?;
        self.device.listen(CARD)?;
        Ok(0)
    }

    fn send(&mut self, frames: &[Buffer]) -> Result<u32, NicError> {
        self.submit(TRANSMIT, frames, SENT_HEADER, 0)
    }

    fn sent(&mut self, into: &mut Out<'_, Completion>) -> Result<(), NicError> {
        self.virtio.collect(CARD, TRANSMIT, into)?;
        Ok(())
    }
}
