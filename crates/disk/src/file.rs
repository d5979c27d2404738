//! Reading of files: every length and every cluster is checked before memory is allocated.

use alloc::vec::Vec;

use crate::Disk;
use crate::MAX_FILE_SIZE;
use crate::device::{BlockDevice, SECTOR_SIZE};
use crate::entry::File;
use crate::error::DiskError;
use crate::table::ClusterLink;

impl<D: BlockDevice> Disk<D> {
    /// Reads a file that was listed and has not been overwritten by a save since.
    ///
    /// # Errors
    /// When it is a folder or too large, its clusters don't fit its length, or they can't be read.
    pub fn read(&mut self, file: &File) -> Result<Vec<u8>, DiskError> {
        let length = check_length(file)?;
        let chain = self.chain(file)?;
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(length).map_err(|_| DiskError::OutOfMemory { wanted: file.bytes })?;
        bytes.resize(length, 0);
        let cluster_size = self.layout.cluster_size();
        for (&cluster, part) in chain.iter().zip(bytes.chunks_mut(cluster_size)) {
            let first = self.layout.sector_of(cluster)?;
            self.read_bytes(first, part)?;
        }
        Ok(bytes)
    }

    /// Reads the first bytes of a file into `into`, which is at most a sector long. Returns `false` if the file is
    /// shorter.
    pub(crate) fn read_head(&mut self, file: &File, into: &mut [u8]) -> Result<bool, DiskError> {
        if file.folder || file.bytes < into.len() as u64 {
            return Ok(false);
        }
        let first = self.layout.sector_of(file.first_cluster)?;
        self.read_bytes(first, into)?;
        Ok(true)
    }

    /// Whether the file's contents are `bytes`. A file that can't be read counts as different.
    pub(crate) fn holds(&mut self, file: &File, bytes: &[u8]) -> Result<bool, DiskError> {
        if file.bytes != bytes.len() as u64 {
            return Ok(false);
        }
        let chain = match self.chain(file) {
            Err(error @ DiskError::OutOfMemory { .. }) => return Err(error),
            Err(_) => return Ok(false),
            Ok(chain) => chain,
        };
        for (&cluster, part) in chain.iter().zip(bytes.chunks(self.layout.cluster_size())) {
            let first = self.layout.sector_of(cluster)?;
            for (sector, expected) in (first..).zip(part.chunks(SECTOR_SIZE)) {
                if !self.read_sector(sector).is_ok_and(|found| found.starts_with(expected)) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Returns the clusters of a file: exactly as many as its length needs.
    ///
    /// None occurs twice, since a chain that loops does not end after the expected number.
    pub(crate) fn chain(&mut self, file: &File) -> Result<Vec<u32>, DiskError> {
        let expected = check_length(file)?.div_ceil(self.layout.cluster_size());
        let mut chain = Vec::new();
        if expected == 0 {
            return Ok(chain);
        }
        chain.try_reserve_exact(expected).map_err(|_| DiskError::OutOfMemory { wanted: 4 * expected as u64 })?;
        let mut cluster = file.first_cluster;
        loop {
            self.layout.sector_of(cluster)?;
            chain.push(cluster);
            let link = self.link(cluster)?;
            match link {
                ClusterLink::End if chain.len() == expected => return Ok(chain),
                ClusterLink::End => {
                    return Err(DiskError::ChainTooShort { found: chain.len() as u64, expected: expected as u64 });
                }
                ClusterLink::Free => return Err(DiskError::ClusterUnused { cluster }),
                ClusterLink::Bad(found) => {
                    return Err(DiskError::ClusterOutside { found, highest: self.layout.highest() });
                }
                ClusterLink::Next(_) if chain.len() == expected => {
                    return Err(DiskError::ChainTooLong { expected: expected as u64 });
                }
                ClusterLink::Next(next) => cluster = next,
            }
        }
    }

    /// Reads bytes from the beginning of sector `first`; the last sector may be read in part.
    fn read_bytes(&mut self, first: u64, into: &mut [u8]) -> Result<(), DiskError> {
        let whole = into.len() / SECTOR_SIZE;
        let (sectors, rest) = into.split_at_mut(whole * SECTOR_SIZE);
        if !sectors.is_empty() {
            self.device.read(first, sectors).map_err(DiskError::device("read", first))?;
        }
        if !rest.is_empty() {
            let last = self.read_sector(first + whole as u64)?;
            rest.iter_mut().zip(last).for_each(|(target, byte)| *target = byte);
        }
        Ok(())
    }
}

/// Returns the length of a file that may be read.
fn check_length(file: &File) -> Result<usize, DiskError> {
    if file.folder {
        return Err(DiskError::IsFolder);
    }
    let length = usize::try_from(file.bytes).ok().filter(|_| file.bytes <= MAX_FILE_SIZE);
    length.ok_or(DiskError::TooLarge { found: file.bytes })
}
