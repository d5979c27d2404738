//! An image's partition as a file, and an image as a block device.

use std::fs::File;
use std::io::{Read, Result, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;

use bareflow_disk::{BlockDevice, DeviceError, SECTOR_SIZE};

/// The offset of the partition, in bytes: the one that other tools use, too.
pub const PARTITION_START: u64 = 1 << 20;

/// The partition of an image, as a file.
pub struct Partition<'image> {
    file: &'image File,
    /// The partition's length in bytes.
    length: u64,
    position: u64,
}

impl Partition<'_> {
    /// Returns the partition of `length` bytes in `file`.
    pub fn new(file: &File, length: u64) -> Partition<'_> {
        Partition { file, length, position: 0 }
    }

    /// Returns how many of `wanted` bytes lie inside the partition.
    fn inside(&self, wanted: usize) -> usize {
        let left = self.length.saturating_sub(self.position);
        usize::try_from(left).map_or(wanted, |left| left.min(wanted))
    }
}

impl Read for Partition<'_> {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        let inside = self.inside(into.len());
        let count = self.file.read_at(&mut into[..inside], PARTITION_START + self.position)?;
        self.position += count as u64;
        Ok(count)
    }
}

impl Write for Partition<'_> {
    fn write(&mut self, from: &[u8]) -> Result<usize> {
        let inside = self.inside(from.len());
        let count = self.file.write_at(&from[..inside], PARTITION_START + self.position)?;
        self.position += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

impl Seek for Partition<'_> {
    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(offset) => self.length.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = position.ok_or(std::io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

/// An image as a read-only block device.
pub struct Image {
    /// The image's file.
    pub file: File,
    /// The image's length in bytes.
    pub length: u64,
}

impl BlockDevice for Image {
    fn sectors(&self) -> u64 {
        self.length / SECTOR_SIZE as u64
    }

    fn read(&mut self, first: u64, into: &mut [u8]) -> std::result::Result<(), DeviceError> {
        let offset = first.checked_mul(SECTOR_SIZE as u64).ok_or(DeviceError { reason: "no such sector" })?;
        self.file.read_exact_at(into, offset).map_err(|_| DeviceError { reason: "the file can't be read there" })
    }

    fn write(&mut self, _: u64, _: &[u8]) -> std::result::Result<(), DeviceError> {
        Err(DeviceError { reason: "the image is only read" })
    }

    fn flush(&mut self) -> std::result::Result<(), DeviceError> {
        Ok(())
    }
}
