//! The machine as QEMU describes it: its memory and its rings.

use std::fs::File;
use std::sync::Arc;

use vhost::VhostUserMemoryRegionBase;
use vhost::vhost_user::message::{
    VhostTransferStateDirection, VhostTransferStatePhase, VhostUserConfigFlags, VhostUserInflight, VhostUserLog,
    VhostUserMemoryRegion, VhostUserProtocolFeatures, VhostUserShMemConfig, VhostUserSharedMsg,
    VhostUserSingleMemoryRegion, VhostUserVirtioFeatures, VhostUserVringAddrFlags, VhostUserVringState,
};
use vhost::vhost_user::{Error, GpuBackend, Result, VhostUserBackendReqHandlerMut};
use vm_memory::{GuestAddress, GuestMemoryMmap, GuestRegionMmap};

use crate::ring::Ring;

/// The feature of a device as version 1 of the specification has it.
const VERSION_1: u64 = 1 << 32;

/// The machine as its device knows it.
#[derive(Debug)]
pub struct Machine {
    rings: Vec<Ring>,
    memory: Arc<GuestMemoryMmap>,
    /// Where QEMU has parts of the memory, where the machine has them, and their sizes.
    parts: Vec<(u64, u64, u64)>,
    /// The device's configuration.
    config: Vec<u8>,
}

impl Machine {
    /// Takes the number of the device's rings, and its configuration.
    pub fn new(rings: usize, config: Vec<u8>) -> Machine {
        let rings = (0..rings).map(|_| Ring::default()).collect();
        Machine { rings, memory: Arc::default(), parts: Vec::new(), config }
    }

    /// Returns a ring that the machine runs, and the memory.
    pub fn ring(&mut self, number: usize) -> Option<(&mut Ring, &Arc<GuestMemoryMmap>)> {
        let ring = self.rings.get_mut(number).filter(|ring| ring.is_running())?;
        Some((ring, &self.memory))
    }

    /// Forgets all that QEMU said.
    pub fn forget(&mut self) {
        *self = Machine::new(self.rings.len(), std::mem::take(&mut self.config));
    }

    fn any_ring(&mut self, number: u32) -> Result<&mut Ring> {
        self.rings.get_mut(number as usize).ok_or(Error::InvalidParam)
    }

    /// Returns where the machine has what QEMU has at an address.
    fn place(&self, address: u64) -> Result<u64> {
        let part = self.parts.iter().find(|(start, _, size)| address.wrapping_sub(*start) < *size);
        part.map(|(start, place, _)| address - start + place).ok_or(Error::InvalidParam)
    }
}

/// The error of a request that no device here takes.
fn refused<T>() -> Result<T> {
    Err(Error::InvalidOperation("no device here does that"))
}

impl VhostUserBackendReqHandlerMut for Machine {
    fn set_owner(&mut self) -> Result<()> {
        Ok(())
    }

    fn reset_owner(&mut self) -> Result<()> {
        Ok(())
    }

    fn reset_device(&mut self) -> Result<()> {
        Ok(())
    }

    fn get_features(&mut self) -> Result<u64> {
        Ok(VERSION_1 | VhostUserVirtioFeatures::PROTOCOL_FEATURES.bits())
    }

    fn set_features(&mut self, _: u64) -> Result<()> {
        Ok(())
    }

    fn get_protocol_features(&mut self) -> Result<VhostUserProtocolFeatures> {
        Ok(if self.config.is_empty() { VhostUserProtocolFeatures::empty() } else { VhostUserProtocolFeatures::CONFIG })
    }

    fn set_protocol_features(&mut self, _: u64) -> Result<()> {
        Ok(())
    }

    fn get_queue_num(&mut self) -> Result<u64> {
        Ok(self.rings.len() as u64)
    }

    fn set_mem_table(
        &mut self,
        parts: &[VhostUserMemoryRegion],
        files: Vec<File>,
        _: Option<bool>,
    ) -> Result<Option<Vec<VhostUserMemoryRegionBase>>> {
        let regions = parts.iter().zip(files).map(|(part, file)| {
            let mapped = part.mmap_region(file)?;
            GuestRegionMmap::new(mapped, GuestAddress(part.guest_phys_addr)).ok_or(Error::InvalidParam)
        });
        let regions = regions.collect::<Result<Vec<_>>>()?;
        let memory = GuestMemoryMmap::from_regions(regions).map_err(|_| Error::InvalidParam)?;
        self.memory = Arc::new(memory);
        self.parts = parts.iter().map(|part| (part.user_addr, part.guest_phys_addr, part.memory_size)).collect();
        Ok(None)
    }

    fn set_vring_num(&mut self, ring: u32, size: u32) -> Result<()> {
        let size = u16::try_from(size).map_err(|_| Error::InvalidParam)?;
        self.any_ring(ring)?.set_size(size);
        Ok(())
    }

    fn set_vring_addr(
        &mut self,
        ring: u32,
        _: VhostUserVringAddrFlags,
        descriptors: u64,
        used: u64,
        available: u64,
        _: u64,
    ) -> Result<()> {
        let places = [self.place(descriptors)?, self.place(available)?, self.place(used)?];
        let memory = Arc::clone(&self.memory);
        self.any_ring(ring)?.set_places(places, &memory).map_err(Error::ReqHandlerError)
    }

    fn set_vring_base(&mut self, ring: u32, base: u32) -> Result<()> {
        let base = u16::try_from(base).map_err(|_| Error::InvalidParam)?;
        self.any_ring(ring)?.set_next(base);
        Ok(())
    }

    fn get_vring_base(&mut self, ring: u32) -> Result<VhostUserVringState> {
        Ok(VhostUserVringState::new(ring, self.any_ring(ring)?.stop().into()))
    }

    /// Starts a ring. It is looked at all the time, so no one waits for the file.
    fn set_vring_kick(&mut self, ring: u8, _: Option<File>) -> Result<()> {
        self.any_ring(ring.into())?.start();
        Ok(())
    }

    fn set_vring_call(&mut self, ring: u8, call: Option<File>) -> Result<()> {
        self.any_ring(ring.into())?.set_call(call).map_err(Error::ReqHandlerError)
    }

    fn set_vring_err(&mut self, _: u8, _: Option<File>) -> Result<()> {
        Ok(())
    }

    /// Does nothing: a ring runs from its start to its end.
    fn set_vring_enable(&mut self, _: u32, _: bool) -> Result<()> {
        Ok(())
    }

    fn get_config(&mut self, offset: u32, size: u32, _: VhostUserConfigFlags) -> Result<Vec<u8>> {
        let mut bytes = self.config.get(offset as usize..).unwrap_or_default().to_vec();
        bytes.resize(size as usize, 0);
        Ok(bytes)
    }

    fn set_config(&mut self, _: u32, _: &[u8], _: VhostUserConfigFlags) -> Result<()> {
        refused()
    }

    fn set_gpu_socket(&mut self, _: GpuBackend) -> Result<()> {
        refused()
    }

    fn get_shared_object(&mut self, _: VhostUserSharedMsg) -> Result<File> {
        refused()
    }

    fn get_inflight_fd(&mut self, _: &VhostUserInflight) -> Result<(VhostUserInflight, File)> {
        refused()
    }

    fn set_inflight_fd(&mut self, _: &VhostUserInflight, _: File) -> Result<()> {
        refused()
    }

    fn get_max_mem_slots(&mut self) -> Result<u64> {
        refused()
    }

    fn add_mem_region(
        &mut self,
        _: &VhostUserSingleMemoryRegion,
        _: File,
        _: Option<bool>,
    ) -> Result<Option<VhostUserMemoryRegionBase>> {
        refused()
    }

    fn remove_mem_region(&mut self, _: &VhostUserSingleMemoryRegion) -> Result<()> {
        refused()
    }

    fn set_device_state_fd(
        &mut self,
        _: VhostTransferStateDirection,
        _: VhostTransferStatePhase,
        _: File,
    ) -> Result<Option<File>> {
        refused()
    }

    fn check_device_state(&mut self) -> Result<()> {
        refused()
    }

    fn get_shmem_config(&mut self) -> Result<VhostUserShMemConfig> {
        refused()
    }

    fn set_log_base(&mut self, _: &VhostUserLog, _: File) -> Result<()> {
        refused()
    }
}
