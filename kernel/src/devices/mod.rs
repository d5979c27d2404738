//! Devices: configuration space (`ports`), the mappings of registers (`window`), interrupts (`interrupts`), and what modules
//! may drive: all functions on PCI that the kernel does not drive itself (`bus`, `open`).
//!
//! Buses are searched when the kernel or a module first wants a device.

mod bus;
pub mod interrupts;
mod open;
pub mod ports;
pub mod window;

pub use bus::Bus;
