//! The disk that modules are loaded from and saved to: finding it (`pci`, `mmio`),
//! talking to it (`device`, on the memory that `hal` gives), and its file system,
//! which is the crate `bareflow-disk`. No interrupts: the kernel waits for each answer.

mod device;
mod hal;
mod mmio;
pub mod modules;
mod pci;
mod window;

use core::fmt;

use bareflow_disk::{Disk, DiskError};
use virtio_drivers::transport::SomeTransport;
use virtio_drivers::transport::pci::VirtioPciError;

use self::device::VirtioDisk;

/// The disk's file system: lists, reads, saves, selects.
pub type KernelDisk = Disk<VirtioDisk>;

/// Finds the first virtio block device and the file system on it. `None`: there is no such device.
///
/// # Errors
/// When the device can't be used, or has no file system that can be read.
pub fn open() -> Result<Option<KernelDisk>, OpenError> {
    let Some(transport) = find()? else { return Ok(None) };
    let device = VirtioDisk::new(transport).map_err(OpenError::Device)?;
    Disk::open(device).map(Some).map_err(OpenError::FileSystem)
}

/// On a PCI bus, or else, on a machine without one, among microvm's devices.
fn find() -> Result<Option<SomeTransport<'static>>, OpenError> {
    if pci::is_there() { pci::find_block_device() } else { mmio::find_block_device() }
}

/// Why there is no disk although a device is attached.
#[derive(Debug)]
pub enum OpenError {
    /// Its registers can't be mapped.
    Registers {
        /// Bytes they take.
        size: u64,
    },
    /// It is no virtio device of version 1.
    Transport(VirtioPciError),
    /// It does not start.
    Device(virtio_drivers::Error),
    /// Its file system can't be read.
    FileSystem(DiskError),
}

impl fmt::Display for OpenError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::Registers { size } => {
                let most = window::SIZE;
                write!(out, "the disk's registers take {size} bytes, expected frames to map them and {most} at the most; ")?;
                write!(out, "give the machine more memory or another disk")
            }
            OpenError::Transport(error) => {
                write!(out, "the disk's registers: {error} Expected virtio 1.0; attach it as `virtio-blk-pci`")
            }
            OpenError::Device(error) => {
                write!(out, "the disk does not start: {error}, expected a virtio block device; attach it as `virtio-blk-pci`")
            }
            OpenError::FileSystem(error) => error.fmt(out),
        }
    }
}
