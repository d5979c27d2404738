//! The PCI bus, by its configuration ports (PCI Local Bus Specification 3.0,
//! 3.2.2.3.2): old machines have them and so has q35.

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

/// The ports: where, and what.
const ADDRESS: u16 = 0xcf8;
const DATA: u16 = 0xcfc;

/// What is read where nothing is.
const NOTHING: u32 = u32::MAX;

/// The register with a bridge's buses: the one behind it is the second byte.
const BUSES: u8 = 0x18;

/// The type of capability that says where a structure of a virtio device is (Virtio 1.1, 4.1.4), and the offsets in it
/// of the structure's own offset and length.
const PCI_CAP_ID_VNDR: u8 = 9;
const CAPABILITY_OFFSET: u8 = 8;
const CAPABILITY_LENGTH: u8 = 12;

/// Where the host's own bridge is.
const HOST_BRIDGE: DeviceFunction = DeviceFunction { bus: 0, device: 0, function: 0 };

/// Where addresses are given from, on a machine whose firmware gives none: what q35 and pc leave between memory and
/// the interrupt controllers (QEMU's `hw/i386/pc_q35.c`).
const HOLE: u32 = 0xfd00_0000;
const HOLE_END: u32 = 0xfe80_0000;

/// Where the next one begins.
static NEXT: Mutex<u32> = Mutex::new(HOLE);

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
    let address =
        u32::from(bus) << 16 | u32::from(device) << 11 | u32::from(function) << 8 | u32::from(register & 0xfc);
    // SAFETY: the port says which register the next access is for. One processor runs, and no handler uses it.
    unsafe { Port::new(ADDRESS).write(1 << 31 | address) };
}

/// Whether there is a PCI bus.
pub fn is_there() -> bool {
    Ports.read_word(HOST_BRIDGE, 0) != NOTHING
}

/// The first device of that type, with its registers mapped.
pub fn find(device_type: DeviceType) -> Result<Option<SomeTransport<'static>>, TransportError> {
    let mut root = PciRoot::new(Ports);
    let Some(function) = find_function(&root, device_type) else { return Ok(None) };
    assign_addresses(&mut root, function)?;
    // It may write to memory; it asks for no interrupts.
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

/// Gives registers an address that the firmware gave none: qboot gives none to any device. Behind a bridge it would
/// have to let them through; none is given there.
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

/// An aligned range of so many bytes of the hole, which nobody was given yet.
fn unassigned(size: u64) -> Option<u32> {
    let size = u32::try_from(size).ok()?;
    let mut next = NEXT.lock();
    let start = next.checked_next_multiple_of(size)?;
    let end = start.checked_add(size).filter(|end| *end <= HOLE_END)?;
    *next = end;
    Some(start)
}

/// Goes through bus 0 and all buses behind bridges, each once.
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
