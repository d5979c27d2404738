//! The virtio block device (5.2), with one request at a time.
//!
//! The crate's own driver waits for a flush without a limit, and allocates memory for each request. This one therefore uses only
//! the crate's queue.

use bareflow_devices::Patience;
use bareflow_disk::{BlockDevice, DeviceError, SECTOR_SIZE};
use bitflags::bitflags;
use virtio_drivers::Error;
use virtio_drivers::queue::VirtQueue;
use virtio_drivers::transport::Transport;

use crate::devices::setup;
use crate::virtio::hal::{KernelHal, PIECE_SIZE, prepare};
use crate::virtio::{self, OwnTransport};

/// The number of the queue, and its size: there is one request, of three pieces.
const QUEUE: u16 = 0;
const QUEUE_SIZE: usize = 4;

/// The time after which the device is given up that does not answer.
const PATIENCE: Patience = Patience { limit: 10 * setup::PATIENCE.limit, ..setup::PATIENCE };

/// The most sectors of one request.
const PIECE_SECTORS: u64 = (PIECE_SIZE / SECTOR_SIZE) as u64;

/// The pieces of one request: the header, the data, the status.
const PIECES: usize = 3;

/// The types of requests (5.2.6).
const IN: u32 = 0;
const OUT: u32 = 1;
const FLUSH: u32 = 4;

/// The status of a request before the device writes it: none that means anything.
const NO_STATUS: u8 = u8::MAX;

/// The places of the capacity's halves in the configuration (5.2.4).
const CAPACITY: usize = 0;

bitflags! {
    /// The features of the device that are used.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct Features: u64 {
        const READ_ONLY = 1 << 5;
        const FLUSH = 1 << 9;
        const VERSION_1 = 1 << 32;
    }
}

/// The device.
pub struct VirtioDisk {
    transport: OwnTransport,
    queue: VirtQueue<KernelHal, QUEUE_SIZE>,
    features: Features,
    /// The number of sectors.
    capacity: u64,
    /// The reason for which it is given up, if it is: a request may still be running.
    lost: Option<DeviceError>,
}

/// The data of a request.
enum Data<'data> {
    None,
    Read(&'data mut [u8]),
    Write(&'data [u8]),
}

impl VirtioDisk {
    /// Starts the device.
    pub fn new(mut transport: OwnTransport) -> Result<VirtioDisk, Error> {
        if !prepare(PIECES) {
            return Err(Error::DmaError);
        }
        let features = transport.begin_init(Features::all());
        let capacity = transport.read_consistent(|| {
            let low: u32 = transport.read_config_space(CAPACITY)?;
            let high: u32 = transport.read_config_space(CAPACITY + 4)?;
            Ok(u64::from(low) | u64::from(high) << 32)
        })?;
        let queue = VirtQueue::new(&mut transport, QUEUE, false, false)?;
        transport.finish_init();
        Ok(VirtioDisk { transport, queue, features, capacity, lost: None })
    }

    /// Does a request, and waits for its answer.
    fn request(&mut self, kind: u32, sector: u64, data: Data<'_>) -> Result<(), DeviceError> {
        if let Some(error) = self.lost {
            return Err(error);
        }
        let mut header = [0; 16];
        header[..4].copy_from_slice(&kind.to_le_bytes());
        header[8..].copy_from_slice(&sector.to_le_bytes());
        let mut status = [NO_STATUS];
        // Until it has answered.
        self.lost = Some(LOST);
        let done = match data {
            Data::None => self.exchange(&[&header], &mut [&mut status]),
            Data::Read(into) => self.exchange(&[&header], &mut [into, &mut status]),
            Data::Write(from) => self.exchange(&[&header, from], &mut [&mut status]),
        };
        self.lost = done.err();
        done?;
        match status {
            [0] => Ok(()),
            [1] => Err(reason(Error::IoError)),
            [2] => Err(reason(Error::Unsupported)),
            _ => Err(DeviceError { reason: "its answer means nothing" }),
        }
    }

    /// Gives the device the pieces of a request, and waits until it is done with them.
    fn exchange<'a>(&mut self, inputs: &'a [&'a [u8]], outputs: &'a mut [&'a mut [u8]]) -> Result<(), DeviceError> {
        // What comes before the request can't be its answer.
        if self.queue.can_pop() {
            return Err(BROKEN);
        }
        // SAFETY: none of them is accessed before the request is complete. If it never completes, the device still has only the
        // frames that `KernelHal::share` copied them to.
        let token = unsafe { self.queue.add(inputs, outputs) }.map_err(reason)?;
        if self.queue.should_notify() {
            self.transport.notify(QUEUE);
        }
        let found = PATIENCE.wait(|| self.queue.peek_used()).ok_or(LOST)?;
        if found != token {
            return Err(BROKEN);
        }
        let room: usize = outputs.iter().map(|output| output.len()).sum();
        // SAFETY: these are the buffers of this token, which was just seen returned.
        let written = unsafe { self.queue.pop_used(token, inputs, outputs) }.map_err(reason)?;
        // It has nothing more to answer.
        if written as usize > room || self.queue.can_pop() { Err(BROKEN) } else { Ok(()) }
    }

    /// Checks that the sectors exist.
    fn check(&self, first: u64, length: usize) -> Result<(), DeviceError> {
        let end = first.checked_add((length / SECTOR_SIZE) as u64);
        if length == 0 || end.is_none_or(|end| end > self.capacity) {
            return Err(DeviceError { reason: "it has no such sectors" });
        }
        Ok(())
    }
}

impl BlockDevice for VirtioDisk {
    fn sectors(&self) -> u64 {
        self.capacity
    }

    fn read(&mut self, first: u64, into: &mut [u8]) -> Result<(), DeviceError> {
        for (first, piece) in firsts(first).zip(into.chunks_mut(PIECE_SIZE)) {
            self.check(first, piece.len())?;
            self.request(IN, first, Data::Read(piece))?;
        }
        Ok(())
    }

    fn write(&mut self, first: u64, from: &[u8]) -> Result<(), DeviceError> {
        for (first, piece) in firsts(first).zip(from.chunks(PIECE_SIZE)) {
            self.check(first, piece.len())?;
            if self.features.contains(Features::READ_ONLY) {
                return Err(DeviceError::READ_ONLY);
            }
            self.request(OUT, first, Data::Write(piece))?;
        }
        Ok(())
    }

    /// A device that can't flush stores all data at once.
    fn flush(&mut self) -> Result<(), DeviceError> {
        match self.features.contains(Features::FLUSH) {
            true => self.request(FLUSH, 0, Data::None),
            false => self.lost.map_or(Ok(()), Err),
        }
    }
}

/// Returns the first sectors of the pieces from a sector on.
fn firsts(first: u64) -> impl Iterator<Item = u64> {
    (0..).map(move |piece| first.saturating_add(piece * PIECE_SECTORS))
}

/// The error of a device that does not answer.
const LOST: DeviceError = DeviceError { reason: "it does not answer" };

/// The error of a device that answers what it was not asked, or with more than there is room for.
const BROKEN: DeviceError = DeviceError { reason: "it broke the rules of its queue" };

fn reason(error: Error) -> DeviceError {
    DeviceError { reason: virtio::reason(error) }
}
