//! The disk that modules are loaded from and saved to, and that has their values: its driver (`device`), and its file
//! system, which is the crate `bareflow-disk`. The kernel waits for each answer.

mod device;
pub mod modules;

use bareflow_disk::{Disk, DiskError};
use spin::Mutex;
use virtio_drivers::transport::DeviceType;

use self::device::VirtioDisk;
use crate::virtio::{self, TransportError};

/// The disk's file system: lists, reads, saves, selects.
pub type KernelDisk = Disk<VirtioDisk>;

/// The disk, once it was looked for. No one waits for the lock: it is held only while the kernel itself works, which no
/// client interrupts.
static DISK: Mutex<Option<Result<KernelDisk, NoDisk>>> = Mutex::new(None);

/// Does `work` with the disk: the first virtio block device, and the file system on it.
pub fn with_disk<T>(work: impl FnOnce(Result<&mut KernelDisk, &NoDisk>) -> T) -> T {
    match DISK.try_lock() {
        Some(mut disk) => work(disk.get_or_insert_with(open).as_mut().map_err(|reason| &*reason)),
        None => work(Err(&NoDisk::Abandoned)),
    }
}

fn open() -> Result<KernelDisk, NoDisk> {
    let transport = virtio::find(DeviceType::Block)?.ok_or(NoDisk::Missing)?;
    Ok(Disk::open(VirtioDisk::new(transport)?)?)
}

/// The reason why there is no disk.
#[derive(Debug, thiserror::Error)]
pub enum NoDisk {
    /// No disk is attached.
    #[error("no disk is attached; serve one: `bareflow serve --disk IMG`")]
    Missing,
    /// The driver panicked in a module's call, in the middle of some work.
    #[error("the disk's driver has panicked; boot again")]
    Abandoned,
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
