//! The devices of QEMU's microvm, which has no bus: each has a range of registers,
//! whether anything is attached or not (QEMU's `include/hw/i386/microvm.h`).

use virtio_drivers::transport::mmio::{MmioTransport, VirtIOHeader};
use virtio_drivers::transport::{DeviceType, SomeTransport, Transport};

use super::{OpenError, window};

/// Where the ranges begin, how long each is, and how many there are at the most.
const START: u64 = 0xfeb0_0000;
const SIZE: u64 = 512;
const COUNT: u64 = 24;

/// The first virtio block device.
pub fn find_block_device() -> Result<Option<SomeTransport<'static>>, OpenError> {
    window::map(START, COUNT * SIZE)?;
    for index in 0..COUNT {
        let Some(header) = window::find(START + index * SIZE, SIZE) else { continue };
        // SAFETY: the range was just mapped, for good, and is this device's alone; where there is
        // none, its first bytes are no virtio device's, which is checked before anything is written.
        let transport = unsafe { MmioTransport::new(header.cast::<VirtIOHeader>(), SIZE as usize) };
        if let Ok(transport) = transport
            && transport.device_type() == DeviceType::Block
        {
            return Ok(Some(transport.into()));
        }
    }
    Ok(None)
}

