//! Tries to have virtio's network card read and write memory that is not the module's own, in each way in which a driver can say
//! where: numbers, offsets and lengths that lie outside, chains that are none, memory and starts of the card that are past.

#![no_std]
#![forbid(unsafe_code)]

use bareflow_abi::{Context, Failure, Out, module};
use bareflow_device::DeviceError::{
    BadChain, BadOrder, Checked, InUse, NoSuchDevice, NoSuchMemory, NoSuchQueue, NoSuchRegion, NotOpen, OutOfRange,
};
use bareflow_device::{Buffer, Completion, Device, DeviceError, Virtio};
use bareflow_regions::{RegionError, Regions};

module!(dma_attack, imports = { device: Device, virtio: Virtio, regions: Regions });

/// The card, the queue of frames that it receives, its size, and a queue that is not set up.
const CARD: u32 = 0;
const QUEUE: u32 = 0;
const QUEUE_SIZE: u32 = 128;
const OTHER_QUEUE: u32 = 1;

/// The bytes of the module's region.
const BYTES: u32 = 8192;

/// The features by which a driver could choose what queues look like (6), `VERSION_1` apart.
const OF_QUEUES: u64 = ((1 << 50) - (1 << 24)) & !(1 << 32);

/// The most buffers of a chain, and one more.
const TOO_LONG: usize = 17;

/// An error that a card must give in one way, and what it gave.
type Attempt = (Result<u32, DeviceError>, DeviceError);

/// Returns the number of attempts, all of which failed as they have to; or that of the first that did not, negative.
fn dma_attack(_: &mut Context<'_>, mut with: Imports<'_>) -> i32 {
    let mut log = Log { count: 0, wrong: 0 };
    let done = attack(&mut with, &mut log);
    _ = with.device.close(CARD);
    match done {
        Ok(()) if log.wrong == 0 => log.count,
        Ok(()) => -log.wrong,
        Err(error) => -1000 - error.number() as i32,
    }
}

/// The attempts so far, and the first one that went wrong.
struct Log {
    count: i32,
    wrong: i32,
}

impl Log {
    fn note(&mut self, is_right: bool) {
        self.count += 1;
        if !is_right && self.wrong == 0 {
            self.wrong = self.count;
        }
    }

    fn note_all<const N: usize>(&mut self, attempts: [Attempt; N]) {
        for (found, expected) in attempts {
            self.note(found == Err(expected));
        }
    }
}

/// Makes all attempts. An error is one of a call that is no attempt.
fn attack(with: &mut Imports<'_>, log: &mut Log) -> Result<(), DeviceError> {
    let region = with.regions.create(BYTES.into()).map_err(|_| DeviceError::NoMemory)?;
    log.note_all([
        (with.device.attach(CARD, region), NotOpen),
        (submit(with, &[write(0, 0, 64)]), NotOpen),
        (with.device.open(1).map(|()| 0), NoSuchDevice),
        (with.device.open(u32::MAX).map(|()| 0), NoSuchDevice),
    ]);
    with.device.open(CARD)?;
    let features = with.virtio.negotiate(CARD, u64::MAX)?;
    log.note(features & OF_QUEUES == 0);
    with.virtio.queue(CARD, QUEUE, QUEUE_SIZE)?;
    let memory = with.device.attach(CARD, region)?;
    log.note_all([
        (with.virtio.negotiate(CARD, u64::MAX).map(|_| 0), BadOrder),
        (with.virtio.queue(CARD, QUEUE, QUEUE_SIZE), NoSuchQueue),
        (with.virtio.queue(CARD, 1 << 16, QUEUE_SIZE), NoSuchQueue),
        (with.device.attach(CARD, region + 1), NoSuchRegion),
        (with.device.attach(CARD, u32::MAX), NoSuchRegion),
        (with.virtio.config(CARD, u32::MAX, &mut Out::new(&mut [0; 64])).map(|()| 0), OutOfRange),
    ]);
    let mut room = [0];
    log.note_all([
        // The registers of the queues, and the address of what is its own.
        (with.device.read(CARD, 4, 0, 4).map(|_| 0), Checked),
        (with.device.write(CARD, 4, 32, 8, u64::MAX).map(|()| 0), Checked),
        (with.device.addresses(CARD, &[write(memory, 0, 64)], &mut Out::new(&mut room)).map(|()| 0), Checked),
    ]);
    with.virtio.start(CARD)?;
    name_other_memory(with, log, memory);
    // Of all that, the card has nothing.
    log.note(given(with) == Ok(0));
    use_memory_that_is_in_use(with, log, region, memory)?;
    use_what_is_past(with, log, region, memory)?;
    log.note(with.regions.destroy(region).is_ok());
    Ok(())
}

/// Names memory by numbers, places and chains that are none.
fn name_other_memory(with: &mut Imports<'_>, log: &mut Log, memory: u32) {
    let good = write(memory, 0, 64);
    let read = Buffer { flags: 0, ..good };
    let next = |buffer: Buffer| Buffer { flags: buffer.flags | Buffer::NEXT, ..buffer };
    log.note_all([
        (submit(with, &[write(memory, BYTES, 1)]), OutOfRange),
        (submit(with, &[write(memory, BYTES - 1, 2)]), OutOfRange),
        (submit(with, &[write(memory, 0, BYTES + 1)]), OutOfRange),
        (submit(with, &[write(memory, 0, u32::MAX)]), OutOfRange),
        (submit(with, &[write(memory, u32::MAX, 1)]), OutOfRange),
        (submit(with, &[write(memory, u32::MAX, u32::MAX)]), OutOfRange),
        (submit(with, &[write(memory + 1, 0, 64)]), NoSuchMemory),
        (submit(with, &[write(memory + (1 << 16), 0, 64)]), NoSuchMemory),
        (submit(with, &[write(u32::MAX, 0, 64)]), NoSuchMemory),
        (submit(with, &[write(memory, 0, 0)]), BadChain),
        // An indirect descriptor.
        (submit(with, &[Buffer { flags: 4, ..good }]), BadChain),
        (submit(with, &[next(good)]), BadChain),
        (submit(with, &[next(good), read]), BadChain),
        (submit(with, &[next(good); TOO_LONG]), BadChain),
        (submit(with, &[next(read), write(memory, BYTES, 64)]), OutOfRange),
        (submit(with, &[next(read), write(memory + 1, 0, 64)]), NoSuchMemory),
        (with.virtio.submit(CARD, OTHER_QUEUE, &[good]), NoSuchQueue),
        (with.virtio.submit(CARD, 1 << 16, &[good]), NoSuchQueue),
        (with.virtio.submit(1, QUEUE, &[good]), NoSuchDevice),
    ]);
}

/// Takes memory back while the card may write to it.
fn use_memory_that_is_in_use(
    with: &mut Imports<'_>,
    log: &mut Log,
    region: u32,
    memory: u32,
) -> Result<(), DeviceError> {
    submit(with, &[write(memory, 0, 2048)])?;
    log.note(given(with) == Ok(1));
    log.note_all([(with.device.detach(CARD, memory).map(|()| 0), InUse)]);
    log.note(with.regions.destroy(region) == Err(RegionError::Lent));
    with.device.close(CARD)
}

/// Names memory that was detached, and that of an earlier start.
fn use_what_is_past(with: &mut Imports<'_>, log: &mut Log, region: u32, memory: u32) -> Result<(), DeviceError> {
    log.note_all([
        (submit(with, &[write(memory, 0, 64)]), NotOpen),
        (given(with), NotOpen),
        (with.device.detach(CARD, memory).map(|()| 0), NotOpen),
    ]);
    with.device.open(CARD)?;
    with.virtio.negotiate(CARD, 0)?;
    with.virtio.queue(CARD, QUEUE, QUEUE_SIZE)?;
    with.virtio.start(CARD)?;
    log.note_all([
        (submit(with, &[write(memory, 0, 64)]), NoSuchMemory),
        (with.device.detach(CARD, memory).map(|()| 0), NoSuchMemory),
    ]);
    // The chain of the start before is not the card's any more.
    log.note(given(with) == Ok(0));
    let memory = with.device.attach(CARD, region)?;
    with.device.detach(CARD, memory)?;
    log.note_all([
        (submit(with, &[write(memory, 0, 64)]), NoSuchMemory),
        (with.device.detach(CARD, memory).map(|()| 0), NoSuchMemory),
    ]);
    with.device.close(CARD)
}

const fn write(memory: u32, offset: u32, length: u32) -> Buffer {
    Buffer { memory, offset, length, token: 0, flags: Buffer::WRITE }
}

fn submit(with: &mut Imports<'_>, buffers: &[Buffer]) -> Result<u32, DeviceError> {
    with.virtio.submit(CARD, QUEUE, buffers)
}

/// Returns how many chains the card has.
fn given(with: &mut Imports<'_>) -> Result<u32, DeviceError> {
    with.virtio.collect(CARD, QUEUE, &mut Out::new(&mut [Completion::default(); 4]))
}
