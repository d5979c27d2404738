//! Drives the device that QEMU has for teaching (its `docs/specs/edu.txt`): it computes, copies memory and interrupts as it is told.

#![no_std]
#![forbid(unsafe_code)]

use bareflow_abi::{Context, Failure, Out, module, state};
use bareflow_device::{Buffer, Device, DeviceError};
use bareflow_regions::Regions;

/// The device, and its range of registers.
const EDU: u32 = 0;
const REGISTERS: u32 = 0;

/// The registers: the factorial and the status of its computation, the interrupts that wait, how they are raised and taken, and the
/// copy of memory: from where, to where, how much, and its command.
const FACTORIAL: u32 = 0x08;
const STATUS: u32 = 0x20;
const WAITING: u32 = 0x24;
const RAISE: u32 = 0x60;
const TAKE: u32 = 0x64;
const COPY_FROM: u32 = 0x80;
const COPY_TO: u32 = 0x88;
const COPY_COUNT: u32 = 0x90;
const COPY: u32 = 0x98;

/// The bit of the status that it computes, the device's own buffer, and the commands: to it, from it.
const COMPUTES: u64 = 1;
const OWN_BUFFER: u64 = 0x4_0000;
const COPY_IN: u64 = 1;
const COPY_OUT: u64 = 3;

/// The bytes of the module's region, and of what is copied.
const BYTES: u32 = 4096;
const HALF: u32 = BYTES / 2;

state! {
    /// The device.
    pub struct Edu {
        /// Whether it is open.
        is_open: bool = false,
        /// The interrupts that were taken, and the events.
        taken: u32 = 0,
        events: u32 = 0,
        /// The region, and its memory.
        region: u32 = 0,
        memory: u32 = 0,
    }
}

module!(
    state = Edu,
    imports = { device: Device, regions: Regions },
    exports = [raise, taken, events, factorial, copy],
    interrupts = { on_interrupt: 0 },
);

fn on_interrupt(_: &mut Context<'_>, edu: &mut Edu, mut with: Imports<'_>) -> i32 {
    result(serve(edu, &mut with).map(|()| 0))
}

fn result(done: Result<i32, DeviceError>) -> i32 {
    done.unwrap_or_else(|error| -(error.number() as i32))
}

fn serve(edu: &mut Edu, with: &mut Imports<'_>) -> Result<(), DeviceError> {
    if !edu.is_open {
        with.device.open(EDU)?;
        edu.region = with.regions.create(BYTES.into()).map_err(|_| DeviceError::NoMemory)?;
        edu.memory = with.device.attach(EDU, edu.region)?;
        edu.is_open = true;
    }
    edu.events += 1;
    let waiting = with.device.read(EDU, REGISTERS, WAITING, 4)?;
    if waiting != 0 {
        with.device.write(EDU, REGISTERS, TAKE, 4, waiting)?;
        edu.taken += 1;
    }
    with.device.listen(EDU)
}

/// Makes the device interrupt.
fn raise(_: &mut Context<'_>, _: &mut Edu, mut with: Imports<'_>) -> i32 {
    result(with.device.write(EDU, REGISTERS, RAISE, 4, 1).map(|()| 0))
}

/// Returns how many interrupts were taken.
fn taken(_: &mut Context<'_>, edu: &mut Edu) -> i32 {
    edu.taken as i32
}

/// Returns how many events there were.
fn events(_: &mut Context<'_>, edu: &mut Edu) -> i32 {
    edu.events as i32
}

/// Returns the factorial of 10, as the device computes it.
fn factorial(_: &mut Context<'_>, _: &mut Edu, mut with: Imports<'_>) -> i32 {
    let computed = with.device.write(EDU, REGISTERS, FACTORIAL, 4, 10).and_then(|()| {
        while with.device.read(EDU, REGISTERS, STATUS, 4)? & COMPUTES != 0 {}
        with.device.read(EDU, REGISTERS, FACTORIAL, 4)
    });
    result(computed.map(|found| found as i32))
}

/// Makes the device copy the first half of the region to the second, and returns how many bytes arrived.
fn copy(_: &mut Context<'_>, edu: &mut Edu, mut with: Imports<'_>) -> i32 {
    result(copy_half(edu, &mut with))
}

fn copy_half(edu: &mut Edu, with: &mut Imports<'_>) -> Result<i32, DeviceError> {
    {
        let view = with.regions.shared(edu.region).map_err(|_| DeviceError::NoSuchRegion)?;
        for offset in 0..HALF as usize {
            view.bytes().set(offset, pattern(offset)).map_err(|_| DeviceError::OutOfRange)?;
            view.bytes().set(HALF as usize + offset, 0_u8).map_err(|_| DeviceError::OutOfRange)?;
        }
    }
    let buffer = |offset| Buffer { memory: edu.memory, offset, length: HALF, token: 0, flags: 0 };
    let mut room = [0; 2];
    let mut addresses = Out::new(&mut room);
    with.device.addresses(EDU, &[buffer(0), buffer(HALF)], &mut addresses)?;
    let &[from, to] = addresses.written() else { return Err(DeviceError::BadDevice) };
    for (source, target, command) in [(from, OWN_BUFFER, COPY_IN), (OWN_BUFFER, to, COPY_OUT)] {
        with.device.write(EDU, REGISTERS, COPY_FROM, 8, source)?;
        with.device.write(EDU, REGISTERS, COPY_TO, 8, target)?;
        with.device.write(EDU, REGISTERS, COPY_COUNT, 8, HALF.into())?;
        with.device.write(EDU, REGISTERS, COPY, 8, command)?;
        while with.device.read(EDU, REGISTERS, COPY, 8)? & COPY_IN != 0 {}
    }
    let view = with.regions.shared(edu.region).map_err(|_| DeviceError::NoSuchRegion)?;
    let arrived = |offset: &usize| view.bytes().get::<u8>(HALF as usize + *offset) == Ok(pattern(*offset));
    Ok((0..HALF as usize).filter(arrived).count() as i32)
}

/// Returns the byte at an offset of what is copied: never 0.
const fn pattern(offset: usize) -> u8 {
    (offset % 255) as u8 + 1
}
