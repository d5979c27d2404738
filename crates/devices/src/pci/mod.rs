//! Functions on PCI (PCI Local Bus Specification 3.0).
//!
//! The bus itself is that of the crate `virtio-drivers`. What follows what a function says of itself is here, since that may
//! be anything: capabilities that form a loop, registers without a size or beyond all memory.

mod bars;
mod capabilities;
mod driver_register;
mod ecam;
mod msi;
mod msix;
mod scan;
#[cfg(test)]
pub(crate) mod testing;

pub use bars::{AddressWindow, Bar, BarError, Bars, Taken, assign_addresses, find_bars};
pub use capabilities::{Capability, capabilities};
pub use driver_register::{DriverRegister, Reserved, driver_register};
pub use ecam::{FUNCTION_BYTES, configuration_memory, memory_of_function};
pub use msi::{Mask, Msi};
pub use msix::{ENTRY_SIZE, Messages, MsiX, MsiXError};
pub use scan::{Function, scan};
pub use virtio_drivers::transport::pci::bus::{Command, ConfigurationAccess, DeviceFunction, PciRoot};
