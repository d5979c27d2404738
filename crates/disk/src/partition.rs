//! The partition table in a disk's first sector (MBR), or a file system on the whole disk.

use crate::bytes::{u8_at, u16_at, u32_at};
use crate::device::{BlockDevice, SECTOR_SIZE};
use crate::error::DiskError;

/// The position of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition {
    /// The first sector.
    pub start: u64,
    /// The number of sectors.
    pub sectors: u64,
}

/// The types of FAT16 and FAT32 partitions. The boot sector says which kind it is.
const FAT_TYPES: [u8; 5] = [0x04, 0x06, 0x0b, 0x0c, 0x0e];

/// The partition type that says that there is a GUID partition table.
const GUID_TYPE: u8 = 0xee;

/// The offset of the four entries, and the size of each.
const ENTRIES: usize = 446;
const ENTRY_SIZE: usize = 16;

/// Whether the disk's first sector is that of a file system on the whole disk, rather than a partition table.
///
/// Such a sector begins with a jump, as boot code may too, but it also has values that boot code does not have there.
fn is_file_system(sector: &[u8; SECTOR_SIZE]) -> bool {
    let size = u16_at(sector, 11);
    let begins = matches!(u8_at(sector, 0), 0xeb | 0xe9) && (512..=4096).contains(&size) && size.is_power_of_two();
    begins && u8_at(sector, 13).is_power_of_two() && u16_at(sector, 14) > 0 && u8_at(sector, 16) > 0
}

/// Finds the first FAT16 or FAT32 partition, or the whole disk if it is one file system.
pub fn find(device: &mut impl BlockDevice) -> Result<Partition, DiskError> {
    let mut sector = [0; SECTOR_SIZE];
    device.read(0, &mut sector).map_err(DiskError::device("read", 0))?;
    let found = u16_at(&sector, 510);
    if found != 0xaa55 {
        return Err(DiskError::NoPartitionTable { found });
    }
    if is_file_system(&sector) {
        return Ok(Partition { start: 0, sectors: device.sectors() });
    }
    let entry = |index: usize| ENTRIES + index * ENTRY_SIZE;
    let types = [0, 1, 2, 3].map(|index| u8_at(&sector, entry(index) + 4));
    if types.contains(&GUID_TYPE) {
        return Err(DiskError::GuidPartitionTable);
    }
    let index =
        types.iter().position(|kind| FAT_TYPES.contains(kind)).ok_or(DiskError::NoPartition { found: types })?;
    let (start, sectors) =
        (u64::from(u32_at(&sector, entry(index) + 8)), u64::from(u32_at(&sector, entry(index) + 12)));
    let disk = device.sectors();
    // The sum of two u32 does not overflow a u64.
    if start == 0 || sectors == 0 || start + sectors > disk {
        return Err(DiskError::PartitionOutside { start, sectors, disk });
    }
    Ok(Partition { start, sectors })
}
