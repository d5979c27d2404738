//! The table that says which cluster follows which. One sector of it is held,
//! and written to all copies of the table when another one is needed.

use crate::Disk;
use crate::bytes::{put, u16_at, u32_at};
use crate::device::{BlockDevice, SECTOR_SIZE, Sector};
use crate::error::DiskError;
use crate::layout::Kind;

/// The sector of the table that is held.
#[derive(Debug)]
pub struct TableSector {
    /// Which one, counted from the table's first.
    index: Option<u64>,
    bytes: Sector,
    changed: bool,
}

impl Default for TableSector {
    fn default() -> TableSector {
        TableSector { index: None, bytes: [0; SECTOR_SIZE], changed: false }
    }
}

/// What follows a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClusterLink {
    /// Nothing: the cluster is free.
    Free,
    /// This cluster, which is one.
    Next(u32),
    /// Nothing: the chain ends here.
    End,
    /// What can't follow: the cluster is bad, or this is no cluster.
    Bad(u32),
}

/// The end of a chain, in as many bits as the table has.
const END: u32 = 0x0fff_ffff;

/// The bits of a FAT32 entry that count.
const FAT32_BITS: u32 = 0x0fff_ffff;

impl<D: BlockDevice> Disk<D> {
    /// What follows `cluster`, which is one.
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

    /// Lets `next` follow `cluster`; nothing: the chain ends there.
    pub(crate) fn set_link(&mut self, cluster: u32, next: Option<u32>) -> Result<(), DiskError> {
        self.set_entry(cluster, next.unwrap_or(END))
    }

    /// Marks `cluster` as free.
    pub(crate) fn set_free(&mut self, cluster: u32) -> Result<(), DiskError> {
        self.set_entry(cluster, 0)
    }

    /// Writes what was changed and is held.
    pub(crate) fn write_table(&mut self) -> Result<(), DiskError> {
        let (true, Some(index)) = (self.table.changed, self.table.index) else { return Ok(()) };
        for copy in 0..u64::from(self.layout.tables) {
            let sector = self.layout.table + copy * u64::from(self.layout.table_sectors) + index;
            self.device.write(sector, &self.table.bytes).map_err(DiskError::device("write", sector))?;
        }
        self.table.changed = false;
        Ok(())
    }

    /// Forgets what is held, changed or not.
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
                // The other bits stay as they are.
                let kept = u32_at(&self.table.bytes, offset) & !FAT32_BITS;
                put(&mut self.table.bytes, offset, &(kept | value).to_le_bytes());
            }
        }
        self.table.changed = true;
        Ok(())
    }

    /// Holds the sector with `cluster`'s entry, and returns the entry's offset in it.
    fn hold(&mut self, cluster: u32) -> Result<usize, DiskError> {
        // No cluster beyond the table is ever asked for.
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
