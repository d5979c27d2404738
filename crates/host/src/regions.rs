//! Regions in the processes of modules.

use bareflow_loader::RegionMemory;

use crate::process::Child;

impl Child {
    /// Maps a region, which lies at `offset` in its file, at its address. Returns `None` if there is no memory, or no such
    /// process any more.
    pub fn map_region(&self, memory: &RegionMemory, offset: u64, is_writable: bool) -> Option<()> {
        let mapper = self.mapper.as_ref().filter(|_| !self.process.has_ended())?;
        match mapper.map(memory.address, memory.bytes(), offset, is_writable) {
            Ok(is_mapped) => is_mapped.then_some(()),
            Err(_) => {
                self.process.end();
                None
            }
        }
    }

    /// Unmaps a region. If the process does not do that, it ends, and all that it has mapped is unmapped.
    pub fn unmap_region(&self, memory: &RegionMemory) {
        if let Some(mapper) = &self.mapper
            && !self.process.has_ended()
            && mapper.unmap(memory.address, memory.bytes()).is_err()
        {
            self.process.end();
        }
    }
}
