//! Devices for kernels whose drivers are modules: finding them on PCI (`pci`), what virtio devices have in common
//! (`virtio`), the buffers that a device has of its driver (`session`), and the IOMMU that they are behind (`iommu`, `acpi`).
//!
//! Neither side is believed. What a device says of itself is checked before anything relies on it, what it writes to a queue
//! is compared with what it was given, and no wait for it is without a limit. A driver never sees an address.
//!
//! The kernel provides access to configuration space ([`pci::ConfigurationAccess`]), to registers ([`Registers`]) and to
//! pages for queues ([`virtio::QueuePage`]). Here is no `unsafe`.

#![no_std]
#![cfg_attr(not(test), forbid(unsafe_code))]

extern crate alloc;

pub mod acpi;
pub mod iommu;
pub mod pci;
mod registers;
pub mod session;
pub mod virtio;

pub use registers::{Part, Registers};
