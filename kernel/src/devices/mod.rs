//! Devices: configuration space (`ports`), all functions (`functions`), the firmware's tables (`firmware`), the mappings of registers (`window`), interrupts
//! (`interrupts`), the IOMMU (`iommu`, `faults`), and what modules may drive: all functions on PCI that the kernel does not drive itself
//! (`bus`, `open`, `setup`).
//!
//! Buses are searched when the kernel or a module first wants a device.

mod bus;
mod faults;
pub mod firmware;
pub mod functions;
pub mod interrupts;
pub mod iommu;
mod open;
pub mod ports;
pub mod setup;
pub mod window;

pub use bus::Bus;
