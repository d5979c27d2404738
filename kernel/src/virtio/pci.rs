//! The kernel's own devices on PCI.

use bareflow_devices::pci::{Command, DeviceFunction, PciRoot, assign_addresses, find_bars, scan};
use bareflow_devices::virtio::OwnDevice;
use virtio_drivers::transport::DeviceType;

use super::TransportError;
use crate::devices::iommu;
use crate::devices::ports::{HOLE, Ports, taken_by_machine};
use crate::devices::setup::virtio_device;
use crate::devices::window::Window;

/// Returns the first device of type `device_type`, with its registers mapped.
pub fn find(mut root: PciRoot<Ports>, device_type: DeviceType) -> Result<Option<OwnDevice<Window>>, TransportError> {
    let Some(function) = find_function(&root, device_type) else { return Ok(None) };
    // Off until it was reset. It sends no interrupts.
    root.set_command(function, Command::INTERRUPT_DISABLE);
    let mut bars = find_bars(&mut root, function)?;
    assign_addresses(&mut root, function, &mut bars, &mut HOLE.lock(), &taken_by_machine)?;
    root.set_command(function, Command::MEMORY_SPACE | Command::INTERRUPT_DISABLE);
    // SAFETY: the addresses were just checked.
    let device = unsafe { virtio_device(function, &bars) }?;
    iommu::pass(function)?;
    root.set_command(function, Command::MEMORY_SPACE | Command::BUS_MASTER | Command::INTERRUPT_DISABLE);
    // SAFETY: the drivers of the disk and of the channel use the crate's queues, and `hal` frees no memory of theirs.
    Ok(Some(unsafe { OwnDevice::new(device, device_type) }))
}

fn find_function(root: &PciRoot<Ports>, device_type: DeviceType) -> Option<DeviceFunction> {
    let mut found = None;
    scan(root, &Ports, |function| {
        if function.ids.virtio == device_type as u16 {
            found = Some(function.location);
        }
        found.is_none()
    });
    found
}
