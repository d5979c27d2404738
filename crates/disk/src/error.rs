//! Errors of a disk, a folder, a file, or a save.

use alloc::string::String;

use crate::device::DeviceError;
use crate::{MAX_FILE_SIZE, MAX_FILES, MAX_KEY_LENGTH};

/// An error. The text says what was found, what was expected, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DiskError {
    /// The device failed at these sectors.
    #[error("can't {action} sector {sector}: {error}, expected the disk to answer; check the disk")]
    Device {
        /// The action that failed: read, write or flush.
        action: &'static str,
        /// The first sector.
        sector: u64,
        /// The device's message.
        #[source]
        error: DeviceError,
    },
    /// The first sector is not a partition table.
    #[error("no partition table: sector 0 ends in {found:#06x}, expected 0xaa55; {CREATE}")]
    NoPartitionTable {
        /// The sector's last two bytes.
        found: u16,
    },
    /// The disk has a GUID partition table.
    #[error("a GUID partition table, expected an MBR; {CREATE}")]
    GuidPartitionTable,
    /// No partition is FAT16 or FAT32.
    #[error(
        "partitions of types {:#04x}, {:#04x}, {:#04x}, {:#04x}, expected one of 0x04, 0x06, 0x0b, 0x0c, 0x0e (FAT16, \
         FAT32); {CREATE}",
        .found[0], .found[1], .found[2], .found[3]
    )]
    NoPartition {
        /// The partition types that were found.
        found: [u8; 4],
    },
    /// The partition lies outside the disk.
    #[error(
        "a partition of {sectors} sectors at sector {start}, expected it behind sector 0 and inside the disk's {disk} \
         sectors; {CREATE}"
    )]
    PartitionOutside {
        /// The partition's first sector.
        start: u64,
        /// The partition's length in sectors.
        sectors: u64,
        /// The disk's length in sectors.
        disk: u64,
    },
    /// The partition's first sector does not describe a FAT16 or FAT32 file system.
    #[error("boot sector damaged: {field} is {found}, expected {expected}; {REPAIR}")]
    BootSector {
        /// The field's name.
        field: &'static str,
        /// The field's value.
        found: u64,
        /// The expected value.
        expected: &'static str,
    },
    /// The file system is of a kind that is not supported.
    #[error("not a kind of file system that is read here: {field} is {found}, expected {expected}; {CREATE}")]
    Unsupported {
        /// The name of the field, in the partition's first sector, that shows the kind.
        field: &'static str,
        /// The field's value.
        found: u64,
        /// The expected value.
        expected: &'static str,
    },
    /// There is no folder `/modules`.
    #[error("no folder /modules, expected modules there; make it with `mmd`, or {CREATE}")]
    NoModulesFolder,
    /// There is a file in place of the folder `/store`.
    #[error("a file named store, expected a folder of that name; move it elsewhere")]
    NoStoreFolder,
    /// The key of a value is empty, too long, or has a zero byte.
    #[error("no key, expected 1 to {MAX_KEY_LENGTH} bytes other than 0")]
    NotAKey,
    /// A folder's cluster chain does not end.
    #[error("a folder of more than 65536 entries: its clusters may form a loop; {REPAIR}")]
    FolderTooLong,
    /// A folder has more names than are read.
    #[error("more than {MAX_FILES} names in a folder, expected fewer; the rest is passed over: remove some")]
    TooManyFiles,
    /// A cluster chain leads to a number that is not a cluster's.
    #[error("cluster {found}, expected 2 to {highest}; {REPAIR}")]
    ClusterOutside {
        /// The number that was found.
        found: u32,
        /// The highest cluster number.
        highest: u32,
    },
    /// A cluster chain leads to a cluster that is free or bad.
    #[error("cluster {cluster} counts as free or bad, expected it in use; {REPAIR}")]
    ClusterUnused {
        /// The cluster's number.
        cluster: u32,
    },
    /// A file's chain ends before the file does.
    #[error("the file ends after {found} clusters, expected {expected} by its length; {REPAIR}")]
    ChainTooShort {
        /// The number of clusters that were found.
        found: u64,
        /// The number of clusters that the file's length needs.
        expected: u64,
    },
    /// A file's chain continues after the file's end.
    #[error("the file's clusters go on or loop, expected {expected} by its length; {REPAIR}")]
    ChainTooLong {
        /// The number of clusters that the file's length needs.
        expected: u64,
    },
    /// A folder was found where a file was expected.
    #[error("a folder, expected a file; move it elsewhere")]
    IsFolder,
    /// The file is larger than a module may be.
    #[error("{found} bytes, expected {MAX_FILE_SIZE} at the most; remove the file or pack less")]
    TooLarge {
        /// The file's length in bytes.
        found: u64,
    },
    /// The kernel has no memory left.
    #[error("no memory for {wanted} bytes, expected enough; give the machine more")]
    OutOfMemory {
        /// The number of bytes that were requested.
        wanted: u64,
    },
    /// The blob to be saved is not one of the named module.
    #[error("the bytes are no blob of module \"{expected}\"; pack the module again")]
    NotThatModule {
        /// The module.
        expected: String,
    },
    /// The disk is full.
    #[error(
        "{free} bytes free on the disk, expected {needed}; remove files, or free lost clusters with `fsck.vfat -a`"
    )]
    NoSpace {
        /// The bytes that are needed, in whole clusters.
        needed: u64,
        /// The bytes that are free.
        free: u64,
    },
    /// The folder has no room for another name, and can't grow.
    #[error("no room for one more name in /modules; remove files there")]
    FolderFull,
    /// No time of change can be later than that of the newest file.
    #[error("{file} has the latest date there is, expected an earlier one; touch it or remove it")]
    NoLaterStamp {
        /// The newest file.
        file: String,
    },
    /// There is no unused name left for the file.
    #[error("every name for the file is taken; remove files in /modules")]
    NoName,
    /// The folder's entry has changed since it was listed.
    #[error("{file} is not where it was listed, expected it there; list the folder again")]
    EntryChanged {
        /// The file.
        file: String,
    },
}

impl DiskError {
    /// Returns a function that turns a device's failure into an error with `action` and `sector`.
    pub(crate) fn device(action: &'static str, sector: u64) -> impl FnOnce(DeviceError) -> DiskError {
        move |error| DiskError::Device { action, sector, error }
    }
}

/// Advice to repair a file system.
const REPAIR: &str = "check the partition with fsck.vfat, or make a new disk with `bareflow disk create`";

/// Advice to make a supported disk.
const CREATE: &str = "make the disk with `bareflow disk create`";
