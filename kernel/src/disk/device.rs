//! The virtio block device, with one request at a time.

use core::hint::spin_loop;

use bareflow_disk::{BlockDevice, DeviceError, SECTOR_SIZE};
use virtio_drivers::Error;
use virtio_drivers::device::blk::{BlkReq, BlkResp, VirtIOBlk};

use crate::virtio::hal::{KernelHal, PIECE_SIZE, prepare};
use crate::virtio::{self, OwnTransport};

/// The number of polls for an answer before the device is given up: ten seconds and more.
const SPIN_LIMIT: u64 = 1 << 31;

/// The most sectors of one request.
const PIECE_SECTORS: u64 = (PIECE_SIZE / SECTOR_SIZE) as u64;

/// The pieces of one request: the header, the data, the status.
const PIECES: usize = 3;

/// The device.
pub struct VirtioDisk {
    device: VirtIOBlk<KernelHal, OwnTransport>,
    /// Whether the device once failed to answer. That request may still be running.
    lost: bool,
}

impl VirtioDisk {
    /// Starts the device.
    pub fn new(transport: OwnTransport) -> Result<VirtioDisk, Error> {
        if !prepare(PIECES) {
            return Err(Error::DmaError);
        }
        Ok(VirtioDisk { device: VirtIOBlk::new(transport)?, lost: false })
    }

    fn read_piece(&mut self, first: u64, into: &mut [u8]) -> Result<(), DeviceError> {
        let sector = self.check(first, into.len())?;
        let (mut request, mut answer) = (BlkReq::default(), BlkResp::default());
        // SAFETY: none of the three is accessed before the request is complete. If it never completes, the device
        // still has only the frames that `KernelHal::share` copied them to.
        let token = unsafe { self.device.read_blocks_nb(sector, &mut request, into, &mut answer) };
        self.wait(token.map_err(reason)?)?;
        // SAFETY: these are the three buffers of this token, which `wait` saw returned.
        let done = unsafe { self.device.complete_read_blocks(token.map_err(reason)?, &request, into, &mut answer) };
        done.map_err(reason)
    }

    fn write_piece(&mut self, first: u64, from: &[u8]) -> Result<(), DeviceError> {
        let sector = self.check(first, from.len())?;
        if self.device.readonly() {
            return Err(DeviceError::READ_ONLY);
        }
        let (mut request, mut answer) = (BlkReq::default(), BlkResp::default());
        // SAFETY: as above.
        let token = unsafe { self.device.write_blocks_nb(sector, &mut request, from, &mut answer) };
        self.wait(token.map_err(reason)?)?;
        // SAFETY: as above.
        let done = unsafe { self.device.complete_write_blocks(token.map_err(reason)?, &request, from, &mut answer) };
        done.map_err(reason)
    }

    /// Returns the first sector as the driver wants it, if the sectors exist and the device still answers.
    fn check(&self, first: u64, length: usize) -> Result<usize, DeviceError> {
        let end = first.checked_add((length / SECTOR_SIZE) as u64);
        if self.lost {
            return Err(LOST);
        }
        if length == 0 || end.is_none_or(|end| end > self.device.capacity()) {
            return Err(DeviceError { reason: "it has no such sectors" });
        }
        usize::try_from(first).map_err(|_| DeviceError { reason: "it has no such sectors" })
    }

    /// Waits for the answer to the only running request.
    fn wait(&mut self, token: u16) -> Result<(), DeviceError> {
        for _ in 0..SPIN_LIMIT {
            if self.device.peek_used() == Some(token) {
                return Ok(());
            }
            spin_loop();
        }
        self.lost = true;
        Err(LOST)
    }
}

impl BlockDevice for VirtioDisk {
    fn sectors(&self) -> u64 {
        self.device.capacity()
    }

    fn read(&mut self, first: u64, into: &mut [u8]) -> Result<(), DeviceError> {
        let firsts = (0..).map(|piece| first.saturating_add(piece * PIECE_SECTORS));
        firsts.zip(into.chunks_mut(PIECE_SIZE)).try_for_each(|(first, piece)| self.read_piece(first, piece))
    }

    fn write(&mut self, first: u64, from: &[u8]) -> Result<(), DeviceError> {
        let firsts = (0..).map(|piece| first.saturating_add(piece * PIECE_SECTORS));
        firsts.zip(from.chunks(PIECE_SIZE)).try_for_each(|(first, piece)| self.write_piece(first, piece))
    }

    /// The driver waits for this one without a limit. A device that can't flush stores all data at once.
    fn flush(&mut self) -> Result<(), DeviceError> {
        if self.lost { Err(LOST) } else { self.device.flush().map_err(reason) }
    }
}

/// The error of a device that does not answer.
const LOST: DeviceError = DeviceError { reason: "it does not answer" };

fn reason(error: Error) -> DeviceError {
    DeviceError { reason: virtio::reason(error) }
}
