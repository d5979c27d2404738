//! The interface to a disk.

/// The size of a sector, in bytes.
pub const SECTOR_SIZE: usize = 512;

/// The bytes of one sector.
pub(crate) type Sector = [u8; SECTOR_SIZE];

/// A disk, in sectors of [`SECTOR_SIZE`] bytes.
///
/// A sector is written either completely or not at all, even if power is lost. Until [`flush`](BlockDevice::flush)
/// returns, any of the writes since the last flush may be lost, whatever their order.
pub trait BlockDevice {
    /// Returns the number of sectors.
    fn sectors(&self) -> u64;

    /// Reads sectors, starting with `first`. The length of `into` is a multiple of [`SECTOR_SIZE`].
    ///
    /// # Errors
    /// When the device fails.
    fn read(&mut self, first: u64, into: &mut [u8]) -> Result<(), DeviceError>;

    /// Writes sectors, starting with `first`. The length of `from` is a multiple of [`SECTOR_SIZE`].
    ///
    /// # Errors
    /// When the device fails.
    fn write(&mut self, first: u64, from: &[u8]) -> Result<(), DeviceError>;

    /// Returns when all earlier writes are permanent.
    ///
    /// # Errors
    /// When the device fails.
    fn flush(&mut self) -> Result<(), DeviceError>;
}

/// A device's failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct DeviceError {
    /// The device's message.
    pub reason: &'static str,
}

impl DeviceError {
    /// The failure of a device that takes no writes.
    pub const READ_ONLY: DeviceError = DeviceError { reason: "it is read-only" };
}
