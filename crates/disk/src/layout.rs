//! The positions of a file system's parts, according to its boot sector (Microsoft, "FAT32 File System Specification",
//! version 1.03).
//!
//! All values are checked once, when they are read: every position from here lies inside the partition.

use crate::bytes::{u8_at, u16_at, u32_at};
use crate::device::{BlockDevice, SECTOR_SIZE};
use crate::error::DiskError;
use crate::partition::Partition;

/// The kind of file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// FAT16: two bytes for each cluster in the table.
    Fat16,
    /// FAT32: four bytes for each cluster in the table.
    Fat32,
}

impl Kind {
    /// Returns the kind's name.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Fat16 => "FAT16",
            Kind::Fat32 => "FAT32",
        }
    }

    /// Returns the size of a cluster's entry in the table, in bytes.
    pub const fn entry_size(self) -> usize {
        match self {
            Kind::Fat16 => 2,
            Kind::Fat32 => 4,
        }
    }
}

/// The position of a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Folder {
    /// Fixed sectors: the root of FAT16.
    Fixed {
        /// The first sector.
        first: u64,
        /// The number of sectors.
        sectors: u32,
    },
    /// A chain of clusters.
    Chain {
        /// The first cluster.
        cluster: u32,
    },
}

/// Limits of the number of clusters.
///
/// A file system with fewer than the first is FAT12. FAT16 must have fewer than the second. FAT32 should have at least
/// as many, but may have fewer: `mkfs.vfat -F 32` makes such file systems.
const FAT16_CLUSTERS: u64 = 4085;
const FAT32_CLUSTERS: u64 = 65525;

/// The limit of cluster numbers; the values above have special meanings.
const MAX_CLUSTERS: u64 = 0x0fff_fff5;

/// The positions and sizes of a file system's parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The kind: FAT16 or FAT32.
    pub kind: Kind,
    /// The number of sectors in a cluster.
    pub cluster_sectors: u32,
    /// The number of clusters. The first one has the number 2.
    pub clusters: u32,
    /// The first sector of the first table.
    pub table: u64,
    /// The number of sectors in a table.
    pub table_sectors: u32,
    /// The number of tables: 1, or 2 with the same contents.
    pub tables: u32,
    /// The root folder.
    pub root: Folder,
    /// The first sector of cluster 2.
    pub data: u64,
    /// The sector with the count of free clusters, in FAT32.
    pub info: Option<u64>,
}

impl Layout {
    /// Reads the boot sector of a partition.
    pub fn read(device: &mut impl BlockDevice, partition: Partition) -> Result<Layout, DiskError> {
        let mut sector = [0; SECTOR_SIZE];
        device.read(partition.start, &mut sector).map_err(DiskError::device("read", partition.start))?;
        Layout::parse(&sector, partition)
    }

    /// Returns the highest cluster number.
    pub const fn highest(&self) -> u32 {
        self.clusters + 1
    }

    /// Returns the size of a cluster, in bytes.
    pub const fn cluster_size(&self) -> usize {
        self.cluster_sectors as usize * SECTOR_SIZE
    }

    /// Returns the first sector of a cluster.
    pub fn sector_of(&self, cluster: u32) -> Result<u64, DiskError> {
        if cluster < 2 || cluster > self.highest() {
            return Err(DiskError::ClusterOutside { found: cluster, highest: self.highest() });
        }
        Ok(self.data + u64::from(cluster - 2) * u64::from(self.cluster_sectors))
    }

    fn parse(sector: &[u8; SECTOR_SIZE], partition: Partition) -> Result<Layout, DiskError> {
        let byte = |offset| u64::from(u8_at(sector, offset));
        let word = |offset| u64::from(u16_at(sector, offset));
        let long = |offset| u64::from(u32_at(sector, offset));
        let sectors = if word(19) != 0 { word(19) } else { long(32) };
        let table_sectors = if word(22) != 0 { word(22) } else { long(36) };
        let (cluster_sectors, reserved, tables, root_entries) = (byte(13), word(14), byte(16), word(17));
        check("the mark at its end", word(510), "43605", |mark| mark == 0xaa55)?;
        let is_size = |size: u64| (512..=4096).contains(&size) && size.is_power_of_two();
        check("bytes of a sector", word(11), "512", is_size)?;
        support("bytes of a sector", word(11), "512", |size| size == SECTOR_SIZE as u64)?;
        check("sectors of a cluster", cluster_sectors, "1, 2, 4 .. 128", u64::is_power_of_two)?;
        check("reserved sectors", reserved, "1 or more", |count| count > 0)?;
        check("number of tables", tables, "1 or 2", |count| count > 0)?;
        support("number of tables", tables, "1 or 2", |count| count <= 2)?;
        check("sectors", sectors, "as many as the partition has, or fewer", |count| count <= partition.sectors)?;
        check("sectors of a table", table_sectors, "1 or more", |count| count > 0)?;
        check("entries of the root", root_entries, "a multiple of 16", |count| count % 16 == 0)?;

        // All of these are below 2^32, except for the product, which is below 2^34.
        let root = reserved + tables * table_sectors;
        let data = root + root_entries / 16;
        check("sectors", sectors, "more than tables and root take", |count| count > data)?;
        let clusters = (sectors - data) / cluster_sectors;
        // As in Linux: in FAT32, the field is zero in which FAT12 and FAT16 have the length of a table.
        let kind = if word(22) == 0 { Kind::Fat32 } else { Kind::Fat16 };
        match kind {
            Kind::Fat16 => {
                check("number of clusters", clusters, "fewer than 65525 in FAT16", |count| count < FAT32_CLUSTERS)?;
                support("number of clusters", clusters, "4085 or more: not FAT12", |count| count >= FAT16_CLUSTERS)?;
            }
            Kind::Fat32 => {
                let in_range = |count| (1..=MAX_CLUSTERS).contains(&count);
                check("number of clusters", clusters, "1 to 268435445", in_range)?;
            }
        }
        let room = table_sectors * SECTOR_SIZE as u64 / kind.entry_size() as u64;
        check("entries of a table", room, "one for each cluster and two more", |count| count >= clusters + 2)?;
        let layout = Layout {
            kind,
            cluster_sectors: narrow(cluster_sectors),
            clusters: narrow(clusters),
            table: partition.start + reserved,
            table_sectors: narrow(table_sectors),
            tables: narrow(tables),
            root: Folder::Fixed { first: partition.start + root, sectors: narrow(root_entries / 16) },
            data: partition.start + data,
            info: None,
        };
        if kind == Kind::Fat16 {
            check("entries of the root", root_entries, "1 or more", |count| count > 0)?;
            return Ok(layout);
        }
        check("entries of the root", root_entries, "0 in FAT32", |count| count == 0)?;
        support("flags of the tables", word(40) & 0x80, "0: all tables say the same", |flag| flag == 0)?;
        support("version", word(42), "0", |version| version == 0)?;
        let first = long(44);
        check("first cluster of the root", first, "a cluster", |first| (2..clusters + 2).contains(&first))?;
        let info = Some(word(48)).filter(|&info| info > 0 && info < reserved).map(|info| partition.start + info);
        Ok(Layout { root: Folder::Chain { cluster: narrow(first) }, info, ..layout })
    }
}

fn check(
    field: &'static str,
    found: u64,
    expected: &'static str,
    holds: impl FnOnce(u64) -> bool,
) -> Result<(), DiskError> {
    if holds(found) { Ok(()) } else { Err(DiskError::BootSector { field, found, expected }) }
}

/// Checks a field like `check`, but for a kind that is not supported rather than damage.
fn support(
    field: &'static str,
    found: u64,
    expected: &'static str,
    holds: impl FnOnce(u64) -> bool,
) -> Result<(), DiskError> {
    if holds(found) { Ok(()) } else { Err(DiskError::Unsupported { field, found, expected }) }
}

/// Converts a number that came from 32 bits, or was checked to fit into them.
fn narrow(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
