//! What can be wrong with a disk, a folder, a file, or a save.

use alloc::string::String;
use core::fmt;

use crate::device::DeviceError;
use crate::file::MAX_FILE_SIZE;
use crate::folder::MAX_FILES;

/// What was found, what was expected, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DiskError {
    /// The device failed at these sectors.
    Device {
        /// What it was asked for: read, write or flush.
        action: &'static str,
        /// The first sector.
        sector: u64,
        /// What it says.
        error: DeviceError,
    },
    /// The first sector is no partition table.
    NoPartitionTable {
        /// Its last two bytes.
        found: u16,
    },
    /// The disk has a table of the newer kind.
    GuidPartitionTable,
    /// No partition is FAT16 or FAT32.
    NoPartition {
        /// The types that were found.
        found: [u8; 4],
    },
    /// The partition lies outside the disk.
    PartitionOutside {
        /// Its first sector.
        start: u64,
        /// Its length in sectors.
        sectors: u64,
        /// The disk's length in sectors.
        disk: u64,
    },
    /// The partition's first sector does not describe a FAT16 or FAT32 file system.
    BootSector {
        /// Which of its fields.
        field: &'static str,
        /// What it says.
        found: u64,
        /// What was expected.
        expected: &'static str,
    },
    /// The file system is of a kind that is not read here.
    Unsupported {
        /// Which field of its first sector says so.
        field: &'static str,
        /// What it says.
        found: u64,
        /// What was expected.
        expected: &'static str,
    },
    /// There is no folder `/modules`.
    NoModulesFolder,
    /// A folder's clusters don't end.
    FolderTooLong,
    /// A folder has more names than are read.
    TooManyFiles,
    /// A cluster chain leads to a cluster that isn't one.
    ClusterOutside {
        /// The number found.
        found: u32,
        /// The highest there is.
        highest: u32,
    },
    /// A cluster chain leads to a cluster that is free or bad.
    ClusterUnused {
        /// Its number.
        cluster: u32,
    },
    /// A file's chain ends before the file does.
    ChainTooShort {
        /// Clusters found.
        found: u64,
        /// Clusters the file's length needs.
        expected: u64,
    },
    /// A file's chain goes on behind the file's end.
    ChainTooLong {
        /// Clusters the file's length needs.
        expected: u64,
    },
    /// A folder where a file was expected.
    IsFolder,
    /// The file is larger than any module may be.
    TooLarge {
        /// Its length.
        found: u64,
    },
    /// The kernel has no memory for the file.
    OutOfMemory {
        /// Its length.
        wanted: u64,
    },
    /// What is to be saved is no blob of that module.
    NotThatModule {
        /// The module.
        expected: String,
    },
    /// The disk is full.
    NoSpace {
        /// Bytes that are needed, in whole clusters.
        needed: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// The folder has no room for one more name, and can't grow.
    FolderFull,
    /// No file can be later than the one there is.
    NoLaterStamp {
        /// The file with the latest date there is.
        file: String,
    },
    /// No name is left for the file.
    NoName,
    /// The folder's entry is not the one that was listed.
    EntryChanged {
        /// The file.
        file: String,
    },
}

impl DiskError {
    /// Says where the device failed.
    pub(crate) fn device(action: &'static str, sector: u64) -> impl FnOnce(DeviceError) -> DiskError {
        move |error| DiskError::Device { action, sector, error }
    }
}

/// What mends a file system.
const REPAIR: &str = "check the partition with fsck.vfat, or make a new disk with `bareflow disk create`";

/// What makes a disk that can be read.
const CREATE: &str = "make the disk with `bareflow disk create`";

impl fmt::Display for DiskError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DiskError::Device { action, sector, error } => {
                write!(out, "can't {action} sector {sector}: {error}, expected the disk to answer; check the disk")
            }
            DiskError::NoPartitionTable { found } => {
                write!(out, "no partition table: sector 0 ends in {found:#06x}, expected 0xaa55; {CREATE}")
            }
            DiskError::GuidPartitionTable => {
                write!(out, "a GUID partition table, expected an MBR; {CREATE}")
            }
            DiskError::NoPartition { found: [a, b, c, d] } => {
                write!(out, "partitions of types {a:#04x}, {b:#04x}, {c:#04x}, {d:#04x}, ")?;
                write!(out, "expected one of 0x04, 0x06, 0x0b, 0x0c, 0x0e (FAT16, FAT32); {CREATE}")
            }
            DiskError::PartitionOutside { start, sectors, disk } => {
                write!(out, "a partition of {sectors} sectors at sector {start}, ")?;
                write!(out, "expected it behind sector 0 and inside the disk's {disk} sectors; {CREATE}")
            }
            DiskError::BootSector { field, found, expected } => {
                write!(out, "boot sector damaged: {field} is {found}, expected {expected}; {REPAIR}")
            }
            DiskError::Unsupported { field, found, expected } => {
                write!(out, "not a kind of file system that is read here: {field} is {found}, expected {expected}; ")?;
                write!(out, "{CREATE}")
            }
            DiskError::NoModulesFolder => {
                write!(out, "no folder /modules, expected modules there; make it with `mmd`, or {CREATE}")
            }
            DiskError::FolderTooLong => {
                write!(out, "a folder of more than 65536 entries: its clusters may form a loop; {REPAIR}")
            }
            DiskError::TooManyFiles => {
                write!(
                    out,
                    "more than {MAX_FILES} names in a folder, expected fewer; the rest is passed over: remove some"
                )
            }
            DiskError::ClusterOutside { found, highest } => {
                write!(out, "cluster {found}, expected 2 to {highest}; {REPAIR}")
            }
            DiskError::ClusterUnused { cluster } => {
                write!(out, "cluster {cluster} counts as free or bad, expected it in use; {REPAIR}")
            }
            DiskError::ChainTooShort { found, expected } => {
                write!(out, "the file ends after {found} clusters, expected {expected} by its length; {REPAIR}")
            }
            DiskError::ChainTooLong { expected } => {
                write!(out, "the file's clusters go on or loop, expected {expected} by its length; {REPAIR}")
            }
            DiskError::IsFolder => write!(out, "a folder, expected a file; move it elsewhere"),
            DiskError::TooLarge { found } => {
                write!(out, "{found} bytes, expected {MAX_FILE_SIZE} at the most; remove the file or pack less")
            }
            DiskError::OutOfMemory { wanted } => {
                write!(out, "no memory for {wanted} bytes, expected enough; give the machine more")
            }
            DiskError::NotThatModule { expected } => {
                write!(out, "the bytes are no blob of module \"{expected}\"; pack the module again")
            }
            DiskError::NoSpace { needed, free } => {
                write!(out, "{free} bytes free on the disk, expected {needed}; remove files, or free lost clusters ")?;
                write!(out, "with `fsck.vfat -a`")
            }
            DiskError::FolderFull => write!(out, "no room for one more name in /modules; remove files there"),
            DiskError::NoLaterStamp { file } => {
                write!(out, "{file} has the latest date there is, expected an earlier one; touch it or remove it")
            }
            DiskError::NoName => write!(out, "every name for the file is taken; remove files in /modules"),
            DiskError::EntryChanged { file } => {
                write!(out, "{file} is not where it was listed, expected it there; list the folder again")
            }
        }
    }
}

impl core::error::Error for DiskError {}
