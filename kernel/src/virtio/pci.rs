//! The kernel's own devices on PCI.

use bareflow_devices::pci::{Command, DeviceFunction, PciRoot, assign_addresses, find_bars, scan};
use bareflow_devices::virtio::Structures;
use virtio_drivers::transport::pci::PciTransport;
use virtio_drivers::transport::{DeviceType, SomeTransport};

use super::TransportError;
use super::hal::KernelHal;
use crate::devices::ports::{HOLE, Ports, taken_by_machine};
use crate::devices::{iommu, window};

/// Returns the first device of type `device_type`, with its registers mapped.
pub fn find(
    mut root: PciRoot<Ports>,
    device_type: DeviceType,
) -> Result<Option<SomeTransport<'static>>, TransportError> {
    let Some(function) = find_function(&root, device_type) else { return Ok(None) };
    let mut bars = find_bars(&mut root, function)?;
    assign_addresses(&mut root, function, &mut bars, &mut HOLE.lock(), &taken_by_machine)?;
    for bar in bars.iter().flatten() {
        // SAFETY: neither memory nor an interrupt controller is there, as was just seen.
        unsafe { window::map(bar.address, bar.size) }?;
    }
    // The transport believes what it finds: a list in a circle, or a structure whose end overflows.
    Structures::find(&Ports, function, &bars)?;
    iommu::pass(function)?;
    // The device may write to memory, but sends no interrupts.
    root.set_command(function, Command::MEMORY_SPACE | Command::BUS_MASTER | Command::INTERRUPT_DISABLE);
    let transport = PciTransport::new::<KernelHal, _>(&mut root, function).map_err(TransportError::Transport)?;
    Ok(Some(transport.into()))
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
