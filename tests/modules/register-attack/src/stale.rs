//! A ring of frames to send in memory that is taken from the card while it uses it.

use bareflow_device::{Buffer, Device, DeviceError};
use bareflow_regions::Regions;

use crate::{BYTES, CARD, Imports, REGISTERS, address};

/// The registers: the card's control with the bit that resets it, that of sending with the bit that it is on, and the ring's
/// address, length, and the first descriptor that is not the card's.
const CONTROL: u32 = 0;
const RESET: u32 = 1 << 26;
const SENDING: u32 = 0x400;
const ON: u32 = 1 << 1;
const RING: [u32; 2] = [0x3800, 0x3804];
const RING_LENGTH: u32 = 0x3808;
const TAIL: u32 = 0x3818;

/// The least bytes of a ring, the command of a frame of so many bytes that ends and is to be told of, and where that is told.
const RING_BYTES: u32 = 128;
const FRAME_BYTES: u32 = 60;
const COMMAND: u32 = (1 | 1 << 1 | 1 << 3) << 24 | FRAME_BYTES;
const STATUS: usize = 12;
const DONE: u8 = 1;

/// The offset of the frame, and the looks at what the card writes.
const FRAME: u32 = 2048;
const LOOKS: u32 = 1000;

/// Makes the card send a frame from memory that it has, then one from there once it is taken. Returns whether it wrote there that it
/// sent the second.
pub fn use_what_is_past(with: &mut Imports<'_>) -> Result<bool, DeviceError> {
    with.device.open(CARD)?;
    set(with, CONTROL, RESET)?;
    let region = with.regions.create(BYTES.into()).map_err(|_| DeviceError::NoMemory)?;
    let memory = with.device.attach(CARD, region)?;
    let start = address(with, Buffer { memory, offset: 0, length: BYTES, token: 0, flags: 0 })?;
    {
        let view = with.regions.shared(region).map_err(|_| DeviceError::NoSuchRegion)?;
        for descriptor in [0, 16] {
            let place = start + u64::from(FRAME);
            let words = [place as u32, (place >> 32) as u32, COMMAND, 0];
            view.bytes().set(descriptor, words).map_err(|_| DeviceError::OutOfRange)?;
        }
    }
    let [low, high] = RING;
    for (register, value) in
        [(low, start as u32), (high, (start >> 32) as u32), (RING_LENGTH, RING_BYTES), (SENDING, ON), (TAIL, 1)]
    {
        set(with, register, value)?;
    }
    if !is_done(with, region)? {
        return Err(DeviceError::BadDevice);
    }
    with.device.detach(CARD, memory)?;
    set(with, TAIL, 2)?;
    let has_written = is_done_alone(with, region)?;
    with.device.close(CARD)?;
    with.regions.destroy(region).map_err(|_| DeviceError::InUse)?;
    Ok(has_written)
}

/// Returns whether the card says that it is done with a descriptor in memory that it has.
fn is_done(with: &mut Imports<'_>, region: u32) -> Result<bool, DeviceError> {
    for _ in 0..LOOKS {
        let view = with.regions.shared(region).map_err(|_| DeviceError::NoSuchRegion)?;
        let status: u8 = view.bytes().get(STATUS).map_err(|_| DeviceError::OutOfRange)?;
        if status & DONE != 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Returns whether the card says so of the next one, in memory that is this module's alone.
fn is_done_alone(with: &mut Imports<'_>, region: u32) -> Result<bool, DeviceError> {
    for _ in 0..LOOKS {
        let bytes = with.regions.exclusive(region).map_err(|_| DeviceError::WrongAccess)?;
        if bytes.get(16 + STATUS).is_some_and(|status| status & DONE != 0) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn set(with: &mut Imports<'_>, register: u32, value: u32) -> Result<(), DeviceError> {
    with.device.write(CARD, REGISTERS, register, 4, value.into())
}
