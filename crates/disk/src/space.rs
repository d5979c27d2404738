//! Free clusters: finding, filling, freeing and counting them.

use alloc::vec::Vec;

use crate::Disk;
use crate::bytes::{put, u32_at};
use crate::device::{BlockDevice, SECTOR_SIZE};
use crate::error::DiskError;
use crate::table::ClusterLink;

/// The marks of the sector with the count of free clusters, and the count's offset.
const INFO_MARKS: [(usize, u32); 2] = [(0, 0x4161_5252), (484, 0x6141_7272)];
const FREE_COUNT: usize = 488;

impl<D: BlockDevice> Disk<D> {
    /// Finds the first `wanted` free clusters.
    pub(crate) fn find_free(&mut self, wanted: usize) -> Result<Vec<u32>, DiskError> {
        let mut found = Vec::new();
        found.try_reserve_exact(wanted).map_err(|_| DiskError::OutOfMemory { wanted: 4 * wanted as u64 })?;
        for cluster in 2..=self.layout.highest() {
            if found.len() == wanted {
                break;
            }
            if self.link(cluster)? == ClusterLink::Free {
                found.push(cluster);
            }
        }
        if found.len() == wanted {
            return Ok(found);
        }
        let bytes = |clusters: usize| clusters as u64 * self.layout.cluster_size() as u64;
        Err(DiskError::NoSpace { needed: bytes(wanted), free: bytes(found.len()) })
    }

    /// Fills `clusters` with `bytes`, followed by zeros.
    pub(crate) fn fill(&mut self, clusters: &[u32], bytes: &[u8]) -> Result<(), DiskError> {
        let mut parts = bytes.chunks(self.layout.cluster_size());
        for &cluster in clusters {
            let first = self.layout.sector_of(cluster)?;
            let part = parts.next().unwrap_or_default();
            let (sectors, rest) = part.split_at(part.len() / SECTOR_SIZE * SECTOR_SIZE);
            if !sectors.is_empty() {
                self.device.write(first, sectors).map_err(DiskError::device("write", first))?;
            }
            let written = (sectors.len() / SECTOR_SIZE) as u64;
            for sector in written..u64::from(self.layout.cluster_sectors) {
                let mut padded = [0; SECTOR_SIZE];
                put(&mut padded, 0, if sector == written { rest } else { &[] });
                self.write_sector(first + sector, &padded)?;
            }
        }
        Ok(())
    }

    /// Links `clusters` into a chain in the table, in their order.
    pub(crate) fn join(&mut self, clusters: &[u32]) -> Result<(), DiskError> {
        let next = clusters.iter().skip(1).copied().map(Some).chain([None]);
        for (&cluster, next) in clusters.iter().zip(next) {
            self.set_link(cluster, next)?;
        }
        self.write_table()
    }

    /// Marks `clusters` as free.
    pub(crate) fn release(&mut self, clusters: &[u32]) -> Result<(), DiskError> {
        clusters.iter().try_for_each(|&cluster| self.set_free(cluster))?;
        self.write_table()
    }

    /// Updates the count of free clusters, which only FAT32 has.
    ///
    /// The count is a hint: it may be wrong after a loss of power, and nothing here relies on it.
    pub(crate) fn count_free(&mut self, taken: usize, released: usize) -> Result<(), DiskError> {
        let Some(sector) = self.layout.info else { return Ok(()) };
        let mut bytes = self.read_sector(sector)?;
        let marked = INFO_MARKS.iter().all(|&(offset, mark)| u32_at(&bytes, offset) == mark);
        let count = u32_at(&bytes, FREE_COUNT);
        if !marked || count > self.layout.clusters {
            return Ok(());
        }
        let count = (u64::from(count) + released as u64).saturating_sub(taken as u64);
        let count = u32::try_from(count).unwrap_or(u32::MAX).min(self.layout.clusters);
        put(&mut bytes, FREE_COUNT, &count.to_le_bytes());
        self.write_sector(sector, &bytes)
    }
}
