//! Drives an entropy device (OASIS, Virtual I/O Device 1.2, 5.4), and counts its answers and its interrupts.

#![no_std]
#![forbid(unsafe_code)]

use bareflow_abi::{Context, Failure, Out, module, state};
use bareflow_device::{Buffer, Completion, Device, DeviceError, Virtio};
use bareflow_regions::Regions;

/// The device, and its queue.
const DICE: u32 = 0;
const QUEUE: u32 = 0;

/// The bytes that are asked for at a time, and the descriptors of the queue.
const BYTES: u32 = 64;
const QUEUE_SIZE: u32 = 8;

state! {
    /// The device.
    pub struct Dice {
        /// Whether it runs.
        is_running: bool = false,
        /// The region, and its memory.
        region: u32 = 0,
        memory: u32 = 0,
        /// The answers that were taken.
        taken: u64 = 0,
        /// The runs of the handler, and the calls of `listen`.
        runs: u64 = 0,
        listens: u64 = 0,
        /// Whether the handler does nothing.
        is_paused: bool = false,
    }
}

module!(
    state = Dice,
    imports = { device: Device, virtio: Virtio, regions: Regions },
    exports = [counts, pause],
    interrupts = { on_interrupt: 0 },
);

/// Takes what the device has written, and asks for more.
fn on_interrupt(_: &mut Context<'_>, dice: &mut Dice, mut with: Imports<'_>) -> i32 {
    dice.runs += 1;
    if dice.is_paused {
        return 0;
    }
    let served = match serve(dice, &mut with) {
        Err(DeviceError::Broken) => {
            dice.is_running = false;
            with.device.close(DICE).and_then(|()| serve(dice, &mut with))
        }
        served => served,
    };
    served.map_or_else(|error| -(error.number() as i32), |()| 0)
}

/// Writes how many answers were taken, how often the handler ran, and how often it listened.
fn counts(context: &mut Context<'_>, dice: &mut Dice) -> i32 {
    for count in [dice.taken, dice.runs, dice.listens] {
        context.write(&count.to_le_bytes());
    }
    0
}

/// Takes no more answers, and listens no more.
fn pause(_: &mut Context<'_>, dice: &mut Dice) -> i32 {
    dice.is_paused = true;
    0
}

fn serve(dice: &mut Dice, with: &mut Imports<'_>) -> Result<(), DeviceError> {
    if !dice.is_running {
        start(dice, with)?;
        dice.is_running = true;
    }
    let mut done = [Completion::default(); QUEUE_SIZE as usize];
    let mut done = Out::new(&mut done);
    with.virtio.collect(DICE, QUEUE, &mut done)?;
    for _ in done.written() {
        dice.taken += 1;
        ask(dice, with)?;
    }
    dice.listens += 1;
    with.device.listen(DICE)
}

fn start(dice: &mut Dice, with: &mut Imports<'_>) -> Result<(), DeviceError> {
    // What it had before is of no device any more.
    _ = with.regions.destroy(dice.region);
    with.device.open(DICE)?;
    with.virtio.negotiate(DICE, 0)?;
    with.virtio.queue(DICE, QUEUE, QUEUE_SIZE)?;
    dice.region = with.regions.create(BYTES.into()).map_err(|_| DeviceError::NoMemory)?;
    dice.memory = with.device.attach(DICE, dice.region)?;
    ask(dice, with)?;
    with.virtio.start(DICE)
}

fn ask(dice: &Dice, with: &mut Imports<'_>) -> Result<(), DeviceError> {
    let buffer = Buffer { memory: dice.memory, offset: 0, length: BYTES, token: 0, flags: Buffer::WRITE };
    with.virtio.submit(DICE, QUEUE, &[buffer]).map(|_| ())
}
