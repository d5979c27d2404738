//! Configuration space, through the ports that old machines have and also q35 (PCI Local Bus Specification 3.0, 3.2.2.3.2),
//! the addresses for registers to which the firmware gave none, and those that are not for registers.

use core::ops::Range;

use bareflow_devices::pci::{AddressWindow, ConfigurationAccess, DeviceFunction, PciRoot};
use spin::Mutex;
use x86_64::instructions::port::Port;

use crate::memory::memory_ranges;

/// The ports of the register's address and of its data.
const ADDRESS: u16 = 0xcf8;
const DATA: u16 = 0xcfc;

/// The value that reads return where no device is.
const NOTHING: u32 = u32::MAX;

/// The location of the host's own bridge.
const HOST_BRIDGE: DeviceFunction = DeviceFunction { bus: 0, device: 0, function: 0 };

/// The range of addresses for devices on a machine whose firmware assigns none: the hole that q35 and pc leave
/// between memory and the interrupt controllers (QEMU's `hw/i386/pc_q35.c`).
pub static HOLE: Mutex<AddressWindow> = Mutex::new(AddressWindow::new(0xfd00_0000, 0xfe80_0000));

/// The addresses of interrupt controllers, to which writes are interrupts (Intel SDM volume 3, 11.4.1 and 11.11.1).
const CONTROLLERS: Range<u64> = 0xfec0_0000..0xff00_0000;

/// Returns the number of a function on PCI, which the firmware's table has, and which the IOMMU's endpoints are told by.
pub const fn requester_id(function: DeviceFunction) -> u16 {
    (function.bus as u16) << 8 | (function.device as u16) << 3 | function.function as u16
}

/// Returns the function with a number on PCI.
pub const fn function_at(requester_id: u16) -> DeviceFunction {
    let [low, bus] = requester_id.to_le_bytes();
    DeviceFunction { bus, device: low >> 3, function: low & 7 }
}

/// Configuration space, through the ports.
pub struct Ports;

impl ConfigurationAccess for Ports {
    fn read_word(&self, device_function: DeviceFunction, register_offset: u8) -> u32 {
        select(device_function, register_offset);
        // SAFETY: the port is the configuration space's, and reading its registers has no effect.
        unsafe { Port::new(DATA).read() }
    }

    fn write_word(&mut self, device_function: DeviceFunction, register_offset: u8, data: u32) {
        select(device_function, register_offset);
        // SAFETY: as above. Only a device's addresses, its command and its way to interrupt are written: its addresses lead to
        // nothing else, as `assign_addresses` checks, and it is a bus master only once it was reset. One that is asked for the size
        // of its registers has them back before anything else runs.
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

/// Returns the bus, if there is one.
pub fn root() -> Option<PciRoot<Ports>> {
    (Ports.read_word(HOST_BRIDGE, 0) != NOTHING).then(|| PciRoot::new(Ports))
}

/// Returns a range that meets `range` and is memory or an interrupt controller, if there is one.
pub fn taken_by_machine(range: &Range<u64>) -> Option<Range<u64>> {
    let [low, high] = memory_ranges();
    [low, high, CONTROLLERS].into_iter().find(|taken| taken.start < range.end && range.start < taken.end)
}
