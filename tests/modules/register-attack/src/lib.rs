//! Reaches for registers that are the kernel's, and for memory that is not the card's, in each way in which the driver of Intel's
//! network card (82574L) can say where.

#![no_std]
#![forbid(unsafe_code)]

mod stale;

use bareflow_abi::{Context, Failure, Out, module};
use bareflow_device::DeviceError::{
    BadChain, BadWidth, NoSuchDevice, NoSuchMemory, NoSuchRange, NotOpen, NotVirtio, OutOfRange, Reserved,
};
use bareflow_device::{Buffer, Device, DeviceError, Virtio};
use bareflow_regions::Regions;

module!(
    imports = { device: Device, virtio: Virtio, regions: Regions },
    exports = [attack, use_what_is_past, close_early],
);

/// The card, the range with its registers, that in the space of ports, and that with its table of interrupts and, from an offset
/// on, the bits of those that wait.
const CARD: u32 = 0;
const REGISTERS: u32 = 0;
const PORTS: u32 = 2;
const TABLE: u32 = 3;
const WAITING: u32 = 0x2000;

/// The bytes of the registers, and of the module's region.
const REGISTER_BYTES: u32 = 0x2_0000;
const BYTES: u32 = 4096;

/// Makes the card use memory that was taken from it. Returns 1 if it wrote there, 0 if it did not, and a negative number if
/// it does not even use what it has.
fn use_what_is_past(_: &mut Context<'_>, mut with: Imports<'_>) -> i32 {
    let done = stale::use_what_is_past(&mut with);
    _ = with.device.close(CARD);
    done.map_or_else(|error| -1000 - error.number() as i32, i32::from)
}

/// Makes the card put off an interrupt by its own timer, and closes it before that. Returns 0, or a negative number.
fn close_early(_: &mut Context<'_>, mut with: Imports<'_>) -> i32 {
    // The vector of the cause, the time by which interrupts are apart (5 ms), what is let through, and the cause (82574L
    // datasheet, 10.2.4).
    let writes = [(0xe4, 1 << 3), (0xe8, 20_000), (0xd0, 1 << 20), (0xc8, 1 << 20)];
    let done = with.device.open(CARD).and_then(|()| with.device.listen(CARD));
    let done = writes.into_iter().fold(done, |done, (register, value)| {
        done.and_then(|()| with.device.write(CARD, REGISTERS, register, 4, value))
    });
    done.and_then(|()| with.device.close(CARD)).map_or_else(|error| -(error.number() as i32), |()| 0)
}

/// Returns the number of attempts, all of which failed as they have to; or that of the first that did not, negative.
fn attack(_: &mut Context<'_>, mut with: Imports<'_>) -> i32 {
    let mut log = Log { count: 0, wrong: 0 };
    let done = attempt(&mut with, &mut log);
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
    fn note<const N: usize>(&mut self, attempts: [(Result<u64, DeviceError>, DeviceError); N]) {
        for (found, expected) in attempts {
            self.count += 1;
            if found != Err(expected) && self.wrong == 0 {
                self.wrong = self.count;
            }
        }
    }
}

/// Makes all attempts. An error is one of a call that is no attempt.
fn attempt(with: &mut Imports<'_>, log: &mut Log) -> Result<(), DeviceError> {
    log.note([
        (with.device.read(CARD, REGISTERS, 0, 4), NotOpen),
        (with.device.write(CARD, REGISTERS, 0, 4, 0).map(|()| 0), NotOpen),
        (address(with, Buffer::default()), NotOpen),
    ]);
    with.device.open(CARD)?;
    name_other_registers(with, log);
    let region = with.regions.create(BYTES.into()).map_err(|_| DeviceError::NoMemory)?;
    let memory = with.device.attach(CARD, region)?;
    let whole = Buffer { memory, offset: 0, length: BYTES, token: 0, flags: 0 };
    log.note([
        (address(with, Buffer { offset: BYTES, length: 1, ..whole }), OutOfRange),
        (address(with, Buffer { offset: 1, ..whole }), OutOfRange),
        (address(with, Buffer { offset: u32::MAX, ..whole }), OutOfRange),
        (address(with, Buffer { length: u32::MAX, ..whole }), OutOfRange),
        (address(with, Buffer { length: 0, ..whole }), BadChain),
        (address(with, Buffer { memory: memory + 1, ..whole }), NoSuchMemory),
        (address(with, Buffer { memory: u32::MAX, ..whole }), NoSuchMemory),
        (with.virtio.negotiate(CARD, 0), NotVirtio),
        (with.virtio.queue(CARD, 0, 8).map(u64::from), NotVirtio),
    ]);
    with.device.detach(CARD, memory)?;
    log.note([(address(with, whole), NoSuchMemory)]);
    with.device.close(CARD)?;
    log.note([(address(with, whole), NotOpen), (with.device.read(CARD, REGISTERS, 0, 4), NotOpen)]);
    with.regions.destroy(region).map_err(|_| DeviceError::InUse)
}

/// Names registers that are none, or the kernel's.
fn name_other_registers(with: &mut Imports<'_>, log: &mut Log) {
    for (device, bar, offset, width, expected) in [
        (1, REGISTERS, 0, 4, NoSuchDevice),
        (CARD, PORTS, 0, 4, NoSuchRange),
        (CARD, 4, 0, 4, NoSuchRange),
        (CARD, 6, 0, 4, NoSuchRange),
        (CARD, u32::MAX, 0, 4, NoSuchRange),
        (CARD, REGISTERS, 0, 0, BadWidth),
        (CARD, REGISTERS, 0, 3, BadWidth),
        (CARD, REGISTERS, 0, 16, BadWidth),
        (CARD, REGISTERS, 2, 4, BadWidth),
        (CARD, REGISTERS, REGISTER_BYTES, 4, OutOfRange),
        (CARD, REGISTERS, u32::MAX - 3, 4, OutOfRange),
        (CARD, REGISTERS, u32::MAX - 7, 8, OutOfRange),
        (CARD, TABLE, 0, 4, Reserved),
        (CARD, TABLE, 8, 8, Reserved),
        (CARD, TABLE, 12, 1, Reserved),
        (CARD, TABLE, 5 * 16 - 4, 4, Reserved),
        (CARD, TABLE, WAITING, 4, Reserved),
        (CARD, TABLE, WAITING, 8, Reserved),
    ] {
        log.note([
            (with.device.read(device, bar, offset, width), expected),
            (with.device.write(device, bar, offset, width, u64::MAX).map(|()| 0), expected),
        ]);
    }
}

/// Returns the address by which the card reaches a buffer.
fn address(with: &Imports<'_>, buffer: Buffer) -> Result<u64, DeviceError> {
    let mut room = [0];
    with.device.addresses(CARD, &[buffer], &mut Out::new(&mut room))?;
    Ok(room[0])
}
