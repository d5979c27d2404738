//! The devices of QEMU's microvm, which has no bus: each has a range of registers,
//! whether anything is attached or not (QEMU's `include/hw/i386/microvm.h`).

use virtio_drivers::transport::mmio::{MmioTransport, VirtIOHeader};
use virtio_drivers::transport::{DeviceType, SomeTransport};

use super::{TransportError, window};

/// Where the ranges begin, how long each is, and how many there are at the most.
const START: u64 = 0xfeb0_0000;
const SIZE: u64 = 512;
const COUNT: u64 = 24;

/// The register that says which type of device it is (4.2.2 of the specification).
const DEVICE_ID: usize = 8;

/// The first device of that type.
pub fn find(device_type: DeviceType) -> Result<Option<SomeTransport<'static>>, TransportError> {
    window::map(START, COUNT * SIZE)?;
    for index in 0..COUNT {
        let Some(header) = window::find(START + index * SIZE, SIZE) else { continue };
        // SAFETY: the range was just mapped, for good, and reading that register has no effect.
        let id = unsafe { header.byte_add(DEVICE_ID).cast::<u32>().read_volatile() };
        // The driver is made for no other device: dropping it would reset that one, which may be in use.
        if id != device_type as u32 {
            continue;
        }
        // SAFETY: the range was just mapped, for good, and is this device's alone; where there is
        // none, its first bytes are no virtio device's, which is checked before anything is written.
        let transport = unsafe { MmioTransport::new(header.cast::<VirtIOHeader>(), SIZE as usize) };
        if let Ok(transport) = transport {
            return Ok(Some(transport.into()));
        }
    }
    Ok(None)
}
