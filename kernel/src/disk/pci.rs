//! The PCI bus, by its configuration ports (PCI Local Bus Specification 3.0,
//! 3.2.2.3.2): old machines have them and so has q35.

use alloc::vec;

use virtio_drivers::transport::pci::bus::{Command, ConfigurationAccess, DeviceFunction, HeaderType, PciRoot};
use virtio_drivers::transport::pci::{PciTransport, VirtioPciError, virtio_device_type};
use virtio_drivers::transport::{DeviceType, SomeTransport};
use x86_64::instructions::port::Port;

use super::hal::KernelHal;
use super::{OpenError, window};

/// The ports: where, and what.
const ADDRESS: u16 = 0xcf8;
const DATA: u16 = 0xcfc;

/// What is read where nothing is.
const NOTHING: u32 = u32::MAX;

/// The register with a bridge's buses: the one behind it is the second byte.
const BUSES: u8 = 0x18;

/// Where the host's own bridge is.
const HOST_BRIDGE: DeviceFunction = DeviceFunction { bus: 0, device: 0, function: 0 };

/// Configuration space, through the ports.
struct Ports;

impl ConfigurationAccess for Ports {
    fn read_word(&self, device_function: DeviceFunction, register_offset: u8) -> u32 {
        select(device_function, register_offset);
        // SAFETY: the port is the configuration space's, and its registers have no effect on being read.
        unsafe { Port::new(DATA).read() }
    }

    fn write_word(&mut self, device_function: DeviceFunction, register_offset: u8, data: u32) {
        select(device_function, register_offset);
        // SAFETY: as above. The driver writes where a device's addresses and command are, and puts
        // addresses back; devices were silent before.
        unsafe { Port::new(DATA).write(data) };
    }

    unsafe fn unsafe_clone(&self) -> Ports {
        Ports
    }
}

fn select(device_function: DeviceFunction, register: u8) {
    let DeviceFunction { bus, device, function } = device_function;
    let address = u32::from(bus) << 16 | u32::from(device) << 11 | u32::from(function) << 8 | u32::from(register & 0xfc);
    // SAFETY: the port says which register the next access is for. One processor runs, and no handler uses it.
    unsafe { Port::new(ADDRESS).write(1 << 31 | address) };
}

/// Whether there is a PCI bus.
pub fn is_there() -> bool {
    Ports.read_word(HOST_BRIDGE, 0) != NOTHING
}

/// The first virtio block device, with its registers mapped.
pub fn find_block_device() -> Result<Option<SomeTransport<'static>>, OpenError> {
    let mut root = PciRoot::new(Ports);
    let Some(function) = find(&root) else { return Ok(None) };
    // It may write to memory; it asks for no interrupts.
    let command = Command::MEMORY_SPACE | Command::BUS_MASTER | Command::INTERRUPT_DISABLE;
    let ranges = root.bars(function).map_err(|error| OpenError::Transport(VirtioPciError::Pci(error)))?;
    for (address, size) in ranges.iter().flatten().filter_map(|range| range.memory_address_size()) {
        if address != 0 {
            window::map(address, size)?;
        }
    }
    root.set_command(function, command);
    let transport = PciTransport::new::<KernelHal, _>(&mut root, function).map_err(OpenError::Transport)?;
    Ok(Some(transport.into()))
}

/// Goes through bus 0 and all buses behind bridges, each once.
fn find(root: &PciRoot<Ports>) -> Option<DeviceFunction> {
    let mut seen = [false; 256];
    let mut buses = vec![0_u8];
    while let Some(bus) = buses.pop() {
        if core::mem::replace(seen.get_mut(usize::from(bus))?, true) {
            continue;
        }
        for (function, info) in root.enumerate_bus(bus) {
            if virtio_device_type(&info) == Some(DeviceType::Block) {
                return Some(function);
            }
            if info.header_type == HeaderType::PciPciBridge {
                let [_, behind, ..] = Ports.read_word(function, BUSES).to_le_bytes();
                buses.push(behind);
            }
        }
    }
    None
}
