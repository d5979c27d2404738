//! Devices for kernels whose drivers are modules: finding them on PCI (`pci`), what virtio devices have in common
//! (`virtio`), the buffers that a device has of its driver (`session`), and the IOMMU that they are behind (`iommu`, `acpi`).
//!
//! Neither side is believed. What a device says of itself is checked before anything relies on it, what it writes to a queue
//! is compared with what it was given, and no wait for it is without a limit. A driver never sees an address.
//!
//! The kernel provides access to configuration space ([`pci::ConfigurationAccess`]), to registers ([`Registers`]) and to
//! pages for queues ([`virtio::QueuePage`]). Here is no `unsafe` block: what a device is given has a type each, whose constructors
//! are unsafe ([`virtio::SharedPage`], [`virtio::DevicePages`]).

#![no_std]
#![cfg_attr(not(test), deny(unsafe_code))]

extern crate alloc;

pub mod acpi;
pub mod iommu;
mod patience;
pub mod pci;
mod registers;
pub mod session;
pub mod virtio;

pub use patience::Patience;
pub use registers::{Part, Registers};
