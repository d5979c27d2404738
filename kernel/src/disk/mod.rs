//! The disk that modules are loaded from and saved to: its driver (`device`), and its file system, which is the crate
//! `bareflow-disk`. The kernel waits for each answer.

mod device;
pub mod modules;

use bareflow_disk::{Disk, DiskError};
use virtio_drivers::transport::DeviceType;

use self::device::VirtioDisk;
use crate::virtio::{self, TransportError};

/// The disk's file system: lists, reads, saves, selects.
pub type KernelDisk = Disk<VirtioDisk>;

/// Finds the first virtio block device and the file system on it. `None` if there is no such device.
///
/// # Errors
/// When the device can't be used, or has no file system that can be read.
pub fn open() -> Result<Option<KernelDisk>, OpenError> {
    let Some(transport) = virtio::find(DeviceType::Block)? else { return Ok(None) };
    Ok(Some(Disk::open(VirtioDisk::new(transport)?)?))
}

/// The reason why there is no disk although a device is attached.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The device's registers can't be used.
    #[error("the disk: {0}")]
    Transport(#[from] TransportError),
    /// The device does not start.
    #[error("the disk does not start: {0}, expected a virtio block device; attach it as `virtio-blk-pci`")]
    Device(#[from] virtio_drivers::Error),
    /// The disk's file system can't be read.
    #[error(transparent)]
    FileSystem(#[from] DiskError),
}
