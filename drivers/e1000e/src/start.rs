//! The card's start (4.6 of the datasheet).

use bareflow_abi::Out;
use bareflow_abi::state::State;
use bareflow_device::{Buffer, Device, DeviceError};
use bareflow_regions::Regions;

use crate::registers::{self, read, write};
use crate::ring::{Kind, RING_BYTES, Ring};
use crate::{CARD, Card, Imports};

/// The bytes of the rings: a page.
const RINGS_BYTES: u32 = 2 * RING_BYTES;

/// The value of all registers of a card that is gone.
const GONE: u32 = u32::MAX;

/// The most looks at a card that is being reset, which takes some microseconds.
const LOOKS: u32 = 10_000;

/// Starts the card, unless it runs.
pub fn start(card: &mut Card, with: &mut Imports<'_>) -> Result<(), DeviceError> {
    if card.is_running {
        return Ok(());
    }
    // From here on the card has another region or none.
    _ = with.regions.destroy(core::mem::take(&mut card.region));
    with.device.open(CARD)?;
    let started = set_up(card, with);
    match started {
        Ok(()) => card.is_running = true,
        Err(_) => _ = with.device.close(CARD),
    }
    started
}

/// Starts the card anew. It has no user then.
pub fn start_anew(card: &mut Card, with: &mut Imports<'_>) -> Result<(), DeviceError> {
    card.is_running = false;
    card.user.forget();
    // Open or not.
    _ = with.device.close(CARD);
    start(card, with)
}

fn set_up(card: &mut Card, with: &mut Imports<'_>) -> Result<(), DeviceError> {
    let Imports { device, regions, .. } = with;
    reset(device)?;
    card.address = address(device)?;
    // From here on it uses memory.
    card.region = regions.create(RINGS_BYTES.into()).map_err(|_| DeviceError::NoMemory)?;
    card.memory = device.attach(CARD, card.region)?;
    (card.receiving, card.sending) = (Ring::INITIAL, Ring::INITIAL);
    for kind in Kind::ALL {
        set_ring(device, card.memory, kind)?;
    }
    for (register, value) in [
        (registers::CHECKSUMS, 0),
        (registers::FILTERS, 0),
        (registers::VECTORS, registers::FIRST_FOR_RECEIVED),
        (registers::CONTROL_MORE, registers::MASKS_ITSELF),
        (registers::ENDS_ITSELF, registers::RECEIVED),
        (registers::MASKED_ITSELF, registers::RECEIVED),
        (registers::GAPS, registers::USUAL_GAPS),
        (registers::SENDING, registers::SENDS),
        (registers::RECEIVING, registers::RECEIVES),
    ] {
        write(device, register, value)?;
    }
    // Interrupts come once its user has collected what came.
    let control = read(device, registers::CONTROL)?;
    write(device, registers::CONTROL, control | registers::LINK_UP)
}

/// Resets the card, which may still be where an earlier driver left it.
fn reset(device: &mut impl Device) -> Result<(), DeviceError> {
    write(device, registers::MASK, u32::MAX)?;
    let control = read(device, registers::CONTROL)?;
    if control == GONE {
        return Err(DeviceError::Lost);
    }
    write(device, registers::CONTROL, control | registers::RESET)?;
    for _ in 0..LOOKS {
        match read(device, registers::CONTROL)? {
            GONE => {}
            control if control & registers::RESET == 0 => {
                write(device, registers::MASK, u32::MAX)?;
                return (0..registers::GROUP_WORDS).try_for_each(|word| write(device, registers::GROUPS + 4 * word, 0));
            }
            _ => {}
        }
    }
    Err(DeviceError::Lost)
}

/// Returns the card's address, which it reads from its memory when it is reset.
fn address(device: &mut impl Device) -> Result<[u8; 6], DeviceError> {
    let [low, high] = registers::ADDRESS;
    let (low, high) = (read(device, low)?, read(device, high)?);
    // All ones, of a card that is gone, would be the address of a group.
    if high & registers::IS_ADDRESS == 0 || low & 1 != 0 {
        return Err(DeviceError::BadDevice);
    }
    let ([a, b, c, d], [e, f, ..]) = (low.to_le_bytes(), high.to_le_bytes());
    Ok([a, b, c, d, e, f])
}

/// Tells the card where a ring lies, which is empty.
fn set_ring(device: &mut impl Device, memory: u32, kind: Kind) -> Result<(), DeviceError> {
    let mut place = [0];
    let whole = Buffer { memory, offset: kind.offset(), length: RING_BYTES, token: 0, flags: 0 };
    device.addresses(CARD, &[whole], &mut Out::new(&mut place))?;
    let registers = kind.registers();
    let [low, high] = registers.address;
    for (register, value) in [
        (low, place[0] as u32),
        (high, (place[0] >> 32) as u32),
        (registers.length, RING_BYTES),
        (registers.head, 0),
        (registers.tail, 0),
    ] {
        write(device, register, value)?;
    }
    Ok(())
}
