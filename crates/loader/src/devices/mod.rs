//! Devices: who has which (`claim`), what happens to them when a module comes or goes (`lifecycle`), and the interfaces
//! `device` and `virtio` (`serve`).
//!
//! A module declares its devices in its blob. A load finds devices that fit, and the module has them from the moment it goes
//! live: a module that it replaces keeps them until then. Whatever ends a module closes its devices first, before the
//! regions that they use are taken from it.

mod claim;
mod details;
mod lifecycle;
mod serve;

pub use details::DeviceDetails;

#[cfg(all(test, feature = "semver", feature = "reload", feature = "restart"))]
mod tests;
