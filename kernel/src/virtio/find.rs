//! The search for the kernel's own devices: on PCI, or, on a machine without it, among those on no bus.

use bareflow_devices::pci::{Command, DeviceFunction, PciRoot, assign_addresses, find_bars, scan};
use bareflow_devices::virtio::{OwnDevice, VirtioDevice};
use virtio_drivers::transport::DeviceType;

use super::{OwnTransport, TransportError};
use crate::devices::ports::{self, HOLE, Ports, taken_by_machine};
use crate::devices::setup::{DeviceRegisters, virtio_device, virtio_device_at};
use crate::devices::{iommu, mmio};

/// Returns the first device of type `device_type`, with its registers mapped.
///
/// # Errors
/// When its registers can't be used.
pub fn find(device_type: DeviceType) -> Result<Option<OwnTransport>, TransportError> {
    let device = match ports::root() {
        Some(root) => find_on_pci(root, device_type)?,
        None => find_on_no_bus(device_type)?,
    };
    // SAFETY: the drivers of the disk and of the channel use the crate's queues, and `hal` frees no memory of theirs.
    Ok(device.map(|device| unsafe { OwnDevice::new(device, device_type) }))
}

fn find_on_no_bus(device_type: DeviceType) -> Result<Option<VirtioDevice<DeviceRegisters>>, TransportError> {
    let mut found = None;
    mmio::scan(|address, kind| {
        found = (kind == device_type as u16).then_some(address);
        found.is_none()
    })?;
    Ok(found.map(virtio_device_at).transpose()?)
}

fn find_on_pci(
    mut root: PciRoot<Ports>,
    device_type: DeviceType,
) -> Result<Option<VirtioDevice<DeviceRegisters>>, TransportError> {
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
    Ok(Some(device))
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
