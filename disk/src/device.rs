//! What is asked of a disk.

use core::fmt;

/// Bytes of a sector.
pub const SECTOR_SIZE: usize = 512;

/// One sector's bytes.
pub(crate) type Sector = [u8; SECTOR_SIZE];

/// A disk, in sectors of [`SECTOR_SIZE`] bytes.
///
/// A sector is written as a whole or not at all, even when power goes. Until
/// [`flush`](BlockDevice::flush) returns, any of the writes since the last one may
/// be lost, whichever came first.
pub trait BlockDevice {
    /// How many sectors there are.
    fn sectors(&self) -> u64;

    /// Reads the sectors from `first` on. The length of `into` is a multiple of [`SECTOR_SIZE`].
    ///
    /// # Errors
    /// When the device can't.
    fn read(&mut self, first: u64, into: &mut [u8]) -> Result<(), DeviceError>;

    /// Writes the sectors from `first` on. The length of `from` is a multiple of [`SECTOR_SIZE`].
    ///
    /// # Errors
    /// When the device can't.
    fn write(&mut self, first: u64, from: &[u8]) -> Result<(), DeviceError>;

    /// Returns when all that was written is there to stay.
    ///
    /// # Errors
    /// When the device can't.
    fn flush(&mut self) -> Result<(), DeviceError>;
}

/// Why a device did not do what it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceError {
    /// What it says.
    pub reason: &'static str,
}

impl fmt::Display for DeviceError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.reason)
    }
}
