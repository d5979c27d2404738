//! The file allocation table, which links clusters into chains.
//!
//! One of its sectors is cached, and written to all copies of the table when another one is needed.

use crate::Disk;
use crate::bytes::{put, u16_at, u32_at};
use crate::device::{BlockDevice, SECTOR_SIZE, Sector};
use crate::error::DiskError;
use crate::layout::Kind;

/// The cached sector of the table.
#[derive(Debug)]
pub struct TableSector {
    /// The sector's number, counted from the table's first.
    index: Option<u64>,
    bytes: Sector,
    changed: bool,
}

impl Default for TableSector {
    fn default() -> TableSector {
        TableSector { index: None, bytes: [0; SECTOR_SIZE], changed: false }
    }
}

/// A cluster's entry in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClusterLink {
    /// The cluster is free.
    Free,
    /// The next cluster, whose number is valid.
    Next(u32),
    /// The chain ends here.
    End,
    /// The cluster is bad, or this number is not a cluster's.
    Bad(u32),
}

/// The end mark of a chain, truncated to as many bits as the table has.
const END: u32 = 0x0fff_ffff;

/// The bits of a FAT32 entry that are used.
const FAT32_BITS: u32 = 0x0fff_ffff;

impl<D: BlockDevice> Disk<D> {
    /// Returns the entry of `cluster`, whose number must be valid.
    pub(crate) fn link(&mut self, cluster: u32) -> Result<ClusterLink, DiskError> {
        let offset = self.hold(cluster)?;
        let (value, end) = match self.layout.kind {
            Kind::Fat16 => (u32::from(u16_at(&self.table.bytes, offset)), 0xfff8),
            Kind::Fat32 => (u32_at(&self.table.bytes, offset) & FAT32_BITS, 0x0fff_fff8),
        };
        Ok(match value {
            0 => ClusterLink::Free,
            value if value >= 2 && value <= self.layout.highest() => ClusterLink::Next(value),
            value if value >= end => ClusterLink::End,
            value => ClusterLink::Bad(value),
        })
    }

    /// Links `cluster` to `next`; `None` ends the chain.
    pub(crate) fn set_link(&mut self, cluster: u32, next: Option<u32>) -> Result<(), DiskError> {
        self.set_entry(cluster, next.unwrap_or(END))
    }

    /// Marks `cluster` as free.
    pub(crate) fn set_free(&mut self, cluster: u32) -> Result<(), DiskError> {
        self.set_entry(cluster, 0)
    }

    /// Writes the cached sector, if it was changed.
    pub(crate) fn write_table(&mut self) -> Result<(), DiskError> {
        let (true, Some(index)) = (self.table.changed, self.table.index) else { return Ok(()) };
        for copy in 0..u64::from(self.layout.tables) {
            let sector = self.layout.table + copy * u64::from(self.layout.table_sectors) + index;
            self.device.write(sector, &self.table.bytes).map_err(DiskError::device("write", sector))?;
        }
        self.table.changed = false;
        Ok(())
    }

    /// Discards the cached sector, changed or not.
    pub(crate) fn forget_table(&mut self) {
        self.table = TableSector::default();
    }

    fn set_entry(&mut self, cluster: u32, value: u32) -> Result<(), DiskError> {
        let offset = self.hold(cluster)?;
        match self.layout.kind {
            Kind::Fat16 => {
                let [low, high, ..] = value.to_le_bytes();
                put(&mut self.table.bytes, offset, &[low, high]);
            }
            Kind::Fat32 => {
                // The other bits are preserved.
                let kept = u32_at(&self.table.bytes, offset) & !FAT32_BITS;
                put(&mut self.table.bytes, offset, &(kept | value).to_le_bytes());
            }
        }
        self.table.changed = true;
        Ok(())
    }

    /// Caches the sector with the entry of `cluster`, and returns the entry's offset in it.
    fn hold(&mut self, cluster: u32) -> Result<usize, DiskError> {
        // Refuses clusters beyond the table.
        self.layout.sector_of(cluster)?;
        let offset = u64::from(cluster) * self.layout.kind.entry_size() as u64;
        let index = offset / SECTOR_SIZE as u64;
        if self.table.index != Some(index) {
            self.write_table()?;
            self.table.index = None;
            let sector = self.layout.table + index;
            self.device.read(sector, &mut self.table.bytes).map_err(DiskError::device("read", sector))?;
            self.table.index = Some(index);
        }
        Ok((offset % SECTOR_SIZE as u64) as usize)
    }
}
