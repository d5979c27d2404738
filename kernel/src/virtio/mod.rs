//! The virtio devices that the kernel drives itself (OASIS, Virtual I/O Device 1.2): discovery (`find`), the memory that they
//! share with their drivers (`hal`), and the channel to the host (`channel`). They use no interrupts: the kernel polls.

pub mod channel;
mod find;
pub mod hal;

use bareflow_devices::iommu::IommuError;
use bareflow_devices::pci::BarError;
use bareflow_devices::virtio::OwnDevice;

pub use self::find::find;
use crate::devices::setup::{DeviceRegisters, Problem};
use crate::devices::window;

/// A device that the kernel drives itself.
pub type OwnTransport = OwnDevice<DeviceRegisters>;

/// The reason why a device's registers can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The registers can't be mapped.
    #[error(transparent)]
    Window(#[from] window::WindowError),
    /// The registers can't be, or have no address.
    #[error("the device: {0}")]
    Registers(#[from] BarError),
    /// The registers are not those of a virtio device, or it does not end its reset.
    #[error("the device: {0}")]
    Device(#[from] Problem),
    /// The IOMMU does not let the device use memory.
    #[error("the device: {0}")]
    Iommu(#[from] IommuError),
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
