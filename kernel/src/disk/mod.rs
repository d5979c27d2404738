//! The disk that modules are loaded from and saved to: its driver (`device`), and its file system, which is the crate
//! `bareflow-disk`. The kernel waits for each answer.

mod device;
pub mod modules;

use core::fmt;

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
    let Some(transport) = virtio::find(DeviceType::Block).map_err(OpenError::Transport)? else { return Ok(None) };
    let device = VirtioDisk::new(transport).map_err(OpenError::Device)?;
    Disk::open(device).map(Some).map_err(OpenError::FileSystem)
}

/// The reason why there is no disk although a device is attached.
#[derive(Debug)]
pub enum OpenError {
    /// The device's registers can't be used.
    Transport(TransportError),
    /// The device does not start.
    Device(virtio_drivers::Error),
    /// The disk's file system can't be read.
    FileSystem(DiskError),
}

impl fmt::Display for OpenError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::Transport(error) => write!(out, "the disk: {error}"),
            OpenError::Device(error) => {
                write!(
                    out,
                    "the disk does not start: {error}, expected a virtio block device; attach it as `virtio-blk-pci`"
                )
            }
            OpenError::FileSystem(error) => error.fmt(out),
        }
    }
}
