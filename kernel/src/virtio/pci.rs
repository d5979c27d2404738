//! The PCI bus, through its configuration ports (PCI Local Bus Specification 3.0, 3.2.2.3.2), which old machines have
//! and also q35.

use alloc::vec;

use spin::Mutex;
use virtio_drivers::transport::pci::bus::{
    BarInfo, Command, ConfigurationAccess, DeviceFunction, HeaderType, MemoryBarType, PciRoot,
};
use virtio_drivers::transport::pci::{PciTransport, VirtioPciError, virtio_device_type};
use virtio_drivers::transport::{DeviceType, SomeTransport};
use x86_64::instructions::port::Port;

use super::hal::KernelHal;
use super::{TransportError, window};

/// The ports of the register's address and of its data.
const ADDRESS: u16 = 0xcf8;
const DATA: u16 = 0xcfc;

/// The value that reads return where no device is.
const NOTHING: u32 = u32::MAX;

/// The register with a bridge's bus numbers: the second byte is the bus behind it.
const BUSES: u8 = 0x18;

/// The type of capability that says where a structure of a virtio device is (Virtio 1.1, 4.1.4), and the offsets in it
/// of the structure's own offset and length.
const PCI_CAP_ID_VNDR: u8 = 9;
const CAPABILITY_OFFSET: u8 = 8;
const CAPABILITY_LENGTH: u8 = 12;

/// The location of the host's own bridge.
const HOST_BRIDGE: DeviceFunction = DeviceFunction { bus: 0, device: 0, function: 0 };

/// The range of addresses for devices on a machine whose firmware assigns none: the hole that q35 and pc leave
/// between memory and the interrupt controllers (QEMU's `hw/i386/pc_q35.c`).
const HOLE: u32 = 0xfd00_0000;
const HOLE_END: u32 = 0xfe80_0000;

/// The start of the part of the hole that is free.
static NEXT: Mutex<u32> = Mutex::new(HOLE);

/// Configuration space, through the ports.
struct Ports;

impl ConfigurationAccess for Ports {
    fn read_word(&self, device_function: DeviceFunction, register_offset: u8) -> u32 {
        select(device_function, register_offset);
        // SAFETY: the port is the configuration space's, and reading its registers has no effect.
        unsafe { Port::new(DATA).read() }
    }

    fn write_word(&mut self, device_function: DeviceFunction, register_offset: u8, data: u32) {
        select(device_function, register_offset);
        // SAFETY: as above. The driver writes only a device's addresses and command, and restores the addresses;
        // devices are inactive before that.
        unsafe { Port::new(DATA).write(data) };
    }

    unsafe fn unsafe_clone(&self) -> Ports {
        Ports
    }
}

fn select(device_function: DeviceFunction, register: u8) {
    let DeviceFunction { bus, device, function } = device_function;
    let address =
        u32::from(bus) << 16 | u32::from(device) << 11 | u32::from(function) << 8 | u32::from(register & 0xfc);
    // SAFETY: the port selects the register of the next access. There is one processor, and no handler uses the port.
    unsafe { Port::new(ADDRESS).write(1 << 31 | address) };
}

/// Returns whether there is a PCI bus.
pub fn is_there() -> bool {
    Ports.read_word(HOST_BRIDGE, 0) != NOTHING
}

/// Returns the first device of type `device_type`, with its registers mapped.
pub fn find(device_type: DeviceType) -> Result<Option<SomeTransport<'static>>, TransportError> {
    let mut root = PciRoot::new(Ports);
    let Some(function) = find_function(&root, device_type) else { return Ok(None) };
    assign_addresses(&mut root, function)?;
    // The device may write to memory, but sends no interrupts.
    let command = Command::MEMORY_SPACE | Command::BUS_MASTER | Command::INTERRUPT_DISABLE;
    let ranges = root.bars(function).map_err(|error| TransportError::Transport(VirtioPciError::Pci(error)))?;
    for (address, size) in ranges.iter().flatten().filter_map(|range| range.memory_address_size()) {
        if address != 0 {
            window::map(address, size)?;
        }
    }
    if !are_capabilities_bounded(&root, function) {
        return Err(TransportError::Transport(VirtioPciError::BarOffsetOutOfRange));
    }
    root.set_command(function, command);
    let transport = PciTransport::new::<KernelHal, _>(&mut root, function).map_err(TransportError::Transport)?;
    Ok(Some(transport.into()))
}

/// Returns whether no structure of the device ends beyond 32 bits: the driver adds offset and length unchecked.
fn are_capabilities_bounded(root: &PciRoot<Ports>, function: DeviceFunction) -> bool {
    root.capabilities(function).filter(|capability| capability.id == PCI_CAP_ID_VNDR).all(|capability| {
        let word = |offset: u8| Some(Ports.read_word(function, capability.offset.checked_add(offset)?));
        let (offset, length) = (word(CAPABILITY_OFFSET), word(CAPABILITY_LENGTH));
        offset.zip(length).is_some_and(|(offset, length)| offset.checked_add(length).is_some())
    })
}

/// Assigns addresses to the registers to which the firmware assigned none: qboot assigns none to any device. A device
/// behind a bridge gets none, since the bridge would have to forward them.
fn assign_addresses(root: &mut PciRoot<Ports>, function: DeviceFunction) -> Result<(), TransportError> {
    let ranges = root.bars(function).map_err(|error| TransportError::Transport(VirtioPciError::Pci(error)))?;
    for (index, range) in (0..).zip(&ranges) {
        let Some(BarInfo::Memory { address_type, address: 0, size, .. }) = *range else { continue };
        if size == 0 {
            continue;
        }
        let address = unassigned(size).filter(|_| function.bus == 0).ok_or(TransportError::Address { size })?;
        match address_type {
            MemoryBarType::Width64 => root.set_bar_64(function, index, address.into()),
            MemoryBarType::Width32 => root.set_bar_32(function, index, address),
            MemoryBarType::Below1MiB => return Err(TransportError::Address { size }),
        }
    }
    Ok(())
}

/// Returns an aligned, unused range of `size` bytes of the hole.
fn unassigned(size: u64) -> Option<u32> {
    let size = u32::try_from(size).ok()?;
    let mut next = NEXT.lock();
    let start = next.checked_next_multiple_of(size)?;
    let end = start.checked_add(size).filter(|end| *end <= HOLE_END)?;
    *next = end;
    Some(start)
}

/// Searches bus 0 and all buses behind bridges, each once.
fn find_function(root: &PciRoot<Ports>, device_type: DeviceType) -> Option<DeviceFunction> {
    let mut seen = [false; 256];
    let mut buses = vec![0_u8];
    while let Some(bus) = buses.pop() {
        if core::mem::replace(seen.get_mut(usize::from(bus))?, true) {
            continue;
        }
        for (function, info) in root.enumerate_bus(bus) {
            if virtio_device_type(&info) == Some(device_type) {
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
