//! The devices of QEMU's microvm, which has no bus: each has a fixed range of registers, whether a device is attached
//! or not (QEMU's `include/hw/i386/microvm.h`).

use virtio_drivers::transport::DeviceType;
use virtio_drivers::transport::mmio::{MmioTransport, VirtIOHeader};

use super::TransportError;
use crate::devices::window;

/// The start of the ranges, the size of each, and their largest number.
const START: u64 = 0xfeb0_0000;
const SIZE: u64 = 512;
const COUNT: u64 = 24;

/// The register with the type of the device (4.2.2 of the specification).
const DEVICE_ID: usize = 8;

/// Returns the first device of type `device_type`.
pub fn find(device_type: DeviceType) -> Result<Option<MmioTransport<'static>>, TransportError> {
    // SAFETY: microvm has nothing else there.
    unsafe { window::map(START, COUNT * SIZE) }?;
    for index in 0..COUNT {
        let Some(header) = window::find(START + index * SIZE, SIZE) else { continue };
        // SAFETY: the range was just mapped, permanently, and reading that register has no effect.
        let id = unsafe { header.byte_add(DEVICE_ID).cast::<u32>().read_volatile() };
        // Create the transport only for a device of this type: dropping it would reset another device, which may be
        // in use.
        if id != device_type as u32 {
            continue;
        }
        // SAFETY: the range was just mapped, permanently, and belongs only to this device. Without a device, its
        // first bytes are not those of a virtio device, which is checked before anything is written.
        let transport = unsafe { MmioTransport::new(header.cast::<VirtIOHeader>(), SIZE as usize) };
        if let Ok(transport) = transport {
            return Ok(Some(transport));
        }
    }
    Ok(None)
}
