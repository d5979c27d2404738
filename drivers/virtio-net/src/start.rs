//! The card's start.

use bareflow_abi::Out;
use bareflow_device::{Device, DeviceError, Virtio};
use bareflow_regions::Regions;

use crate::frames::HEADERS_BYTES;
use crate::{ADDRESS_BYTES, CARD, Card, Imports, RECEIVE, TRANSMIT};

/// The descriptors of each queue. A frame takes two.
const QUEUE_SIZE: u32 = 128;

/// The feature that the card has an address (5.1.3).
const MAC: u64 = 1 << 5;

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
    let Imports { device, virtio, regions, .. } = with;
    if virtio.negotiate(CARD, MAC)? & MAC == 0 {
        return Err(DeviceError::Features);
    }
    let mut address = [0; ADDRESS_BYTES];
    virtio.config(CARD, 0, &mut Out::new(&mut address))?;
    card.address = address;
    for queue in [RECEIVE, TRANSMIT] {
        virtio.queue(CARD, queue, QUEUE_SIZE)?;
    }
    // What was sent is collected when something is to be sent.
    virtio.interrupt(CARD, TRANSMIT, false)?;
    card.region = regions.create(HEADERS_BYTES).map_err(|_| DeviceError::NoMemory)?;
    card.headers = device.attach(CARD, card.region)?;
    virtio.start(CARD)?;
    device.listen(CARD)
}
