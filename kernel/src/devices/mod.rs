//! Devices: configuration space (`ports`, `ecam`), all that there are (`known`), the firmware's tables (`firmware`), the mappings of registers (`window`), interrupts
//! (`interrupts`, `messages`), the IOMMU (`iommu`, `faults`), the devices of a machine without a bus (`mmio`), and what modules may drive: all
//! that the kernel does not drive itself (`bus`, `open`, `setup`).
//!
//! Buses are searched when the kernel or a module first wants a device.

mod bus;
mod driver_registers;
mod ecam;
mod faults;
pub mod firmware;
pub mod interrupts;
pub mod iommu;
pub mod known;
mod messages;
pub mod mmio;
mod open;
pub mod ports;
pub mod setup;
pub mod window;

pub use bus::Bus;
