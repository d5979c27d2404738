//! Modules on a disk: a FAT16 or FAT32 file system in an MBR partition, with the
//! modules in its folder `/modules`.
//!
//! The story in order: `device` (what a disk is asked for), `partition` and
//! `layout` (where everything lies), `table` (which cluster follows which),
//! `folder`, `entry` and `long_name` (what is there), `file` (reading), `save`,
//! `place` and `space` (writing), `select` (which files are the modules to load).
//!
//! Why there is a file system here, where crates have one: what is asked of it is that
//! no disk makes it panic or loop, and that power may go at any write. Of the crates
//! that build for a bare machine, `embedded-sdmmc` 0.10 panics on a first cluster that
//! is too high (`next_cluster`), divides by a cluster size of 0, follows a folder's
//! chain that loops for ever, leaves long names behind when a file goes, and enters a
//! file in its folder before its clusters are in the table; `hadris-fat` 2.5 frees a file's
//! entry and its clusters with no flush of the device between. The order of the writes
//! can't be put right from outside, so it is kept here: see [`Disk::save`].
//! On the host, where images are made, `hadris-fat` does it.
//!
//! There is no `unsafe` here, and no allocation that a disk can make larger than the
//! file it is for, or than [`MAX_FILES`] names; and each that fails is an error (`fallible`).

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
mod save;
mod select;
mod space;
mod stamp;
mod table;
#[cfg(test)]
mod tests;

pub use device::{BlockDevice, DeviceError, SECTOR_SIZE};
pub use entry::File;
pub use error::DiskError;
pub use file::MAX_FILE_SIZE;
pub use folder::{Listing, MAX_FILES};
pub use save::Saved;
pub use select::{Chosen, Identity, Refused, Selection};
pub use stamp::Stamp;

use layout::Layout;
use table::TableSector;

/// The folder that modules lie in, below the root.
pub const MODULES: &str = "modules";

/// A disk whose file system was understood.
#[derive(Debug)]
pub struct Disk<D> {
    device: D,
    layout: Layout,
    table: TableSector,
}

impl<D: BlockDevice> Disk<D> {
    /// Finds the file system on `device`: in the first partition that is FAT16 or FAT32.
    ///
    /// # Errors
    /// When there is none, or what describes it is damaged.
    pub fn open(mut device: D) -> Result<Disk<D>, DiskError> {
        let partition = partition::find(&mut device)?;
        let layout = Layout::read(&mut device, partition)?;
        Ok(Disk { device, layout, table: TableSector::default() })
    }

    /// What is in `/modules`.
    ///
    /// # Errors
    /// When there is no such folder, or it can't be looked for, or there is no memory for the listing. What else goes
    /// wrong in the folder itself is part of the listing.
    pub fn list(&mut self) -> Result<Listing, DiskError> {
        let folder = self.modules()?;
        self.list_folder(folder)
    }

    /// `FAT16` or `FAT32`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.layout.kind.name()
    }

    /// The device, which nothing is kept back from.
    pub fn into_device(self) -> D {
        self.device
    }
}
