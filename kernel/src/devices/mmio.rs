//! The virtio devices of QEMU's microvm, which has no bus: each has a fixed range of registers, whether a device is attached
//! or not (QEMU's `include/hw/i386/microvm.h`).

use bareflow_devices::virtio::{MMIO_BYTES, mmio_type};

use super::ports::taken_by_machine;
use super::window::{Window, WindowError};

/// The start of the ranges, and their largest number.
const START: u64 = 0xfeb0_0000;
const COUNT: u64 = 24;

/// Passes the address of each device and its type to `look`, in the order of their addresses, as long as that returns true.
///
/// # Errors
/// The registers can't be mapped.
pub fn scan(mut look: impl FnMut(u64, u16) -> bool) -> Result<(), WindowError> {
    if taken_by_machine(&(START..START + COUNT * MMIO_BYTES)).is_some() {
        return Ok(());
    }
    for address in (START..).step_by(MMIO_BYTES as usize).take(COUNT as usize) {
        if let Some(kind) = mmio_type(&registers(address)?)
            && !look(address, kind)
        {
            break;
        }
    }
    Ok(())
}

/// Maps the registers of the device at `address`, which [`scan`] found.
///
/// # Errors
/// They can't be mapped.
pub fn registers(address: u64) -> Result<Window, WindowError> {
    // All at once, as a range counts.
    // SAFETY: `scan` saw that neither memory nor an interrupt controller is there. Where nothing is, reads are ones.
    unsafe { super::window::map(START, COUNT * MMIO_BYTES) }?;
    // SAFETY: as above.
    unsafe { Window::new(address, MMIO_BYTES) }
}
