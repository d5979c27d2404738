//! Modules and values on a disk: a FAT16 or FAT32 file system in an MBR partition, with the modules in its folder
//! `/modules`, and the values that modules store in `/store`.
//!
//! The modules in reading order: `device` (the interface to a disk), `partition` and `layout` (positions), `table`
//! (cluster chains), `folder`, `entry` and `long_name` (listings), `file` (reading), `replace`, `entry_position` and
//! `space` (writing), `save` and `select` (modules: the file to write, the files to load), `value` (values by keys).
//!
//! There are crates with file systems, but none meets two requirements: no disk may make it panic or loop, and power
//! may be lost at any write. Of the crates for bare-metal targets, `embedded-sdmmc` 0.10 panics on a first cluster that
//! is too high (`next_cluster`), divides by a cluster size of 0, follows a looping folder chain forever, leaves long
//! names behind when it removes a file, and enters a file in its folder before its clusters are in the table.
//! `hadris-fat` 2.5 frees a file's entry and its clusters without flushing the device in between. The order of writes
//! can't be corrected from outside, so it is implemented here: see [`Disk::save`]. On the host, where images are made,
//! `hadris-fat` is used.
//!
//! There is no `unsafe` here, and no allocation that a disk can make larger than the file it is for, or than
//! [`MAX_FILES`] names. Every failed allocation is an error (`fallible`).

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod bytes;
mod device;
mod entry;
mod entry_position;
mod error;
mod fallible;
mod file;
mod folder;
mod layout;
mod long_name;
mod partition;
mod replace;
mod save;
mod select;
mod space;
mod stamp;
mod table;
#[cfg(test)]
mod tests;
mod value;

pub use device::{BlockDevice, DeviceError, SECTOR_SIZE};
pub use entry::File;
pub use error::DiskError;
pub use folder::Listing;
pub use replace::Saved;
pub use select::{Chosen, Identity, Refused, Selection};
pub use stamp::Stamp;
pub use value::{MAX_KEY_LENGTH, STORE};

use layout::Layout;
use table::TableSector;

/// The folder of the modules, below the root.
pub const MODULES: &str = "modules";

/// The longest file that is read or saved, in bytes.
pub const MAX_FILE_SIZE: u64 = 16 << 20;

/// The largest number of names that are read from a folder.
pub const MAX_FILES: usize = 4096;

/// A disk with a supported file system.
#[derive(Debug)]
pub struct Disk<D> {
    device: D,
    layout: Layout,
    table: TableSector,
}

impl<D: BlockDevice> Disk<D> {
    /// Opens the file system on `device`: that of the first FAT16 or FAT32 partition, or of the whole disk.
    ///
    /// # Errors
    /// When there is none, or its description is damaged.
    pub fn open(mut device: D) -> Result<Disk<D>, DiskError> {
        let partition = partition::find(&mut device)?;
        let layout = Layout::read(&mut device, partition)?;
        Ok(Disk { device, layout, table: TableSector::default() })
    }

    /// Lists `/modules`.
    ///
    /// # Errors
    /// When there is no such folder, it can't be searched for, or there is no memory for the listing. An error within
    /// the folder itself is part of the listing.
    pub fn list(&mut self) -> Result<Listing, DiskError> {
        let folder = self.modules()?;
        self.list_folder(folder)
    }

    /// Returns `FAT16` or `FAT32`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.layout.kind.name()
    }

    /// Returns the device. No writes are pending.
    pub fn into_device(self) -> D {
        self.device
    }
}
