//! Virtio devices (OASIS, Virtual I/O Device 1.1): discovery (`pci`, `mmio`), the mappings of their registers
//! (`window`), the memory that they share with their drivers (`hal`), and the channel to the host (`channel`). They
//! use no interrupts: the kernel polls.

pub mod channel;
pub mod hal;
mod mmio;
mod pci;
mod window;

use virtio_drivers::transport::pci::VirtioPciError;
use virtio_drivers::transport::{DeviceType, SomeTransport};

use crate::memory::layout::DEVICE_WINDOW_BYTES;

/// Finds the first device of type `device_type`: on a PCI bus, or, on a machine without one, among microvm's devices.
///
/// # Errors
/// When its registers can't be used.
pub fn find(device_type: DeviceType) -> Result<Option<SomeTransport<'static>>, TransportError> {
    if pci::is_there() { pci::find(device_type) } else { mmio::find(device_type) }
}

/// The reason why a device's registers can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The registers can't be mapped.
    #[error(
        "the device's registers take {size} bytes, expected frames to map them and {DEVICE_WINDOW_BYTES} at the most; \
         give the machine more memory or another device"
    )]
    Registers {
        /// Bytes they take.
        size: u64,
    },
    /// The firmware assigned no address, and none is left.
    #[error(
        "the firmware gave the device's {size} bytes of registers no address, and none is left; attach it to the root \
         bus"
    )]
    Address {
        /// Bytes they take.
        size: u64,
    },
    /// The device is not a virtio device of version 1.
    #[error("the device's registers: {0} Expected virtio 1.0; attach it as `virtio-...-pci`")]
    Transport(VirtioPciError),
}

/// Returns a driver's error as a static text.
pub const fn reason(error: virtio_drivers::Error) -> &'static str {
    use virtio_drivers::Error;
    match error {
        Error::QueueFull => "its queue is full",
        Error::NotReady => "it is not ready",
        Error::WrongToken => "it answered another request",
        Error::AlreadyUsed => "its queue is in use already",
        Error::InvalidParam => "it does not take the request",
        Error::DmaError => "there is no memory for the request",
        Error::IoError => "it says that it failed",
        Error::Unsupported => "it can't do that",
        Error::ConfigSpaceTooSmall | Error::ConfigSpaceMissing => "its configuration is missing",
        Error::SocketDeviceError(_) => "it is a socket",
    }
}
