//! The interfaces `device` and `virtio`, for one module that calls them.

use bareflow_abi::interface::{Frame, Reply, serve};
use bareflow_abi::{CallError, Out};
use bareflow_device::{Buffer, Completion, Description, Device, DeviceError, MAX_CONFIG, Virtio};
use bareflow_regions::{Access, RegionError};

use crate::manager::ModuleManager;
use crate::module::interfaces::Interfaces;
use crate::module::{Index, ModuleId};
use crate::platform::{DeviceBus, Platform};
use crate::registry::devices::{Claim, ClaimState};
use crate::registry::regions::Region;

/// The module that calls.
struct Caller<'manager, P: Platform> {
    manager: &'manager ModuleManager<P>,
    module: ModuleId,
}

impl<P: Platform> ModuleManager<P> {
    /// Calls a method of the interface `device` for the module `caller`.
    pub(crate) fn serve_device(&self, caller: &Interfaces<P::Alloc>, method: u32, frame: &mut Frame<'_>) -> Reply {
        let Some(module) = caller.owner.get() else { return CallError::NotBound.into() };
        serve::<dyn Device, _>(&mut Caller { manager: self, module }, method, frame)
    }

    /// Calls a method of the interface `virtio` for the module `caller`.
    pub(crate) fn serve_virtio(&self, caller: &Interfaces<P::Alloc>, method: u32, frame: &mut Frame<'_>) -> Reply {
        let Some(module) = caller.owner.get() else { return CallError::NotBound.into() };
        serve::<dyn Virtio, _>(&mut Caller { manager: self, module }, method, frame)
    }
}

impl<P: Platform> Caller<'_, P> {
    /// Passes the module's claim to a device to `work`, with the bus.
    #[inline]
    fn with<T>(
        &self,
        device: u32,
        work: impl FnOnce(&mut Claim, &dyn DeviceBus) -> Result<T, DeviceError>,
    ) -> Result<T, DeviceError> {
        let mut claims = self.manager.claims.borrow_mut();
        let claim = claims.of(self.module, device).ok_or(DeviceError::NoSuchDevice)?;
        match claim.state {
            ClaimState::Active => {}
            ClaimState::Lost => return Err(DeviceError::Lost),
            ClaimState::Waiting | ClaimState::Passed => return Err(DeviceError::NotClaimed),
        }
        work(claim, self.manager.platform.device_bus().ok_or(DeviceError::NotClaimed)?)
    }

    /// Does what [`with`](Self::with) does, if the device is open.
    #[inline]
    fn with_open<T>(
        &self,
        device: u32,
        work: impl FnOnce(&mut Claim, &dyn DeviceBus) -> Result<T, DeviceError>,
    ) -> Result<T, DeviceError> {
        self.with(device, |claim, bus| if claim.is_open { work(claim, bus) } else { Err(DeviceError::NotOpen) })
    }
}

impl<P: Platform> Device for Caller<'_, P> {
    fn describe(&self, device: u32, into: &mut Description) -> Result<(), DeviceError> {
        self.with(device, |claim, bus| {
            let facts = bus.facts(claim.device).ok_or(DeviceError::NoSuchDevice)?;
            let ids = facts.ids;
            *into = Description {
                vendor: ids.vendor,
                device: ids.device,
                class: u16::from_be_bytes([ids.class, ids.subclass]),
                virtio: ids.virtio,
                location: facts.location as u32,
                has_interrupt: facts.has_interrupt.into(),
            };
            Ok(())
        })
    }

    fn open(&mut self, device: u32) -> Result<(), DeviceError> {
        self.with(device, |claim, bus| {
            if claim.is_open {
                return Err(DeviceError::Open);
            }
            bus.open(claim.device)?;
            claim.is_open = true;
            Ok(())
        })
    }

    fn close(&mut self, device: u32) -> Result<(), DeviceError> {
        self.with_open(device, |claim, _| {
            self.manager.close_device(claim);
            Ok(())
        })?;
        self.manager.free_orphans();
        Ok(())
    }

    fn listen(&mut self, device: u32) -> Result<(), DeviceError> {
        self.with_open(device, |claim, bus| bus.listen(claim.device))
    }

    fn attach(&mut self, device: u32, region: u32) -> Result<u32, DeviceError> {
        self.with_open(device, |claim, bus| {
            let mut regions = self.manager.regions.borrow_mut();
            let module = self.module.index as Index;
            let found = regions.of_holder(region, module).map_err(|_| DeviceError::NoSuchRegion)?;
            let access = found.access_of(module).map_err(|why| match why {
                RegionError::NoSuchRegion => DeviceError::NoSuchRegion,
                _ => DeviceError::WrongAccess,
            })?;
            // What the module has for itself becomes shared, unless it has it open now.
            let is_own = found.owner == Some(module) && !found.is_lent() && !found.is_open_at(module);
            if access != Access::Shared && !is_own || found.is_open_against(module, Access::Shared) {
                return Err(DeviceError::WrongAccess);
            }
            let mut places = claim.regions.iter_mut().zip(0_u32..);
            let (place, memory) = places.find(|(place, _)| **place == 0).ok_or(DeviceError::TooMany)?;
            let Region { memory: bytes, access, holders, .. } = found;
            let holder = holders.iter_mut().find(|holder| holder.module == module).ok_or(DeviceError::NoSuchRegion)?;
            bus.attach(claim.device, memory, bytes)?;
            *place = region;
            *access = Access::Shared;
            holder.pins += 1;
            Ok(memory)
        })
    }

    fn detach(&mut self, device: u32, memory: u32) -> Result<(), DeviceError> {
        self.with_open(device, |claim, bus| {
            let place = claim.regions.get_mut(memory as usize).filter(|place| **place != 0);
            let place = place.ok_or(DeviceError::NoSuchMemory)?;
            bus.detach(claim.device, memory)?;
            self.manager.unpin_region(core::mem::take(place), self.module.index as Index, true);
            Ok(())
        })?;
        self.manager.free_orphans();
        Ok(())
    }

    fn read(&mut self, device: u32, bar: u32, offset: u32, width: u32) -> Result<u64, DeviceError> {
        self.with_open(device, |claim, bus| bus.read(claim.device, bar, offset, width))
    }

    fn write(&mut self, device: u32, bar: u32, offset: u32, width: u32, value: u64) -> Result<(), DeviceError> {
        self.with_open(device, |claim, bus| bus.write(claim.device, bar, offset, width, value))
    }

    fn addresses(&self, device: u32, buffers: &[Buffer], into: &mut Out<'_, u64>) -> Result<(), DeviceError> {
        self.with_open(device, |claim, bus| {
            let fitting = buffers.get(..buffers.len().min(into.remaining())).unwrap_or_default();
            bus.addresses(claim.device, fitting, &mut |address| {
                into.push(address);
            })
        })
    }
}

impl<P: Platform> Virtio for Caller<'_, P> {
    fn negotiate(&mut self, device: u32, wanted: u64) -> Result<u64, DeviceError> {
        self.with_open(device, |claim, bus| bus.negotiate(claim.device, wanted))
    }

    fn queue(&mut self, device: u32, queue: u32, size: u32) -> Result<u32, DeviceError> {
        self.with_open(device, |claim, bus| bus.set_up_queue(claim.device, queue, size))
    }

    fn interrupt(&mut self, device: u32, queue: u32, wanted: bool) -> Result<(), DeviceError> {
        self.with_open(device, |claim, bus| bus.set_interrupt(claim.device, queue, wanted))
    }

    fn start(&mut self, device: u32) -> Result<(), DeviceError> {
        self.with_open(device, |claim, bus| bus.start(claim.device))
    }

    fn config(&self, device: u32, offset: u32, into: &mut Out<'_, u8>) -> Result<(), DeviceError> {
        self.with_open(device, |claim, bus| {
            let mut piece = [0; MAX_CONFIG];
            let bytes = piece.get_mut(..into.remaining()).ok_or(DeviceError::OutOfRange)?;
            bus.config(claim.device, offset, bytes)?;
            into.extend_from_slice(bytes);
            Ok(())
        })
    }

    fn submit(&mut self, device: u32, queue: u32, buffers: &[Buffer]) -> Result<u32, DeviceError> {
        self.with_open(device, |claim, bus| bus.submit(claim.device, queue, buffers))
    }

    fn collect(&mut self, device: u32, queue: u32, into: &mut Out<'_, Completion>) -> Result<u32, DeviceError> {
        self.with_open(device, |claim, bus| {
            let room = into.remaining();
            bus.collect(claim.device, queue, room, &mut |done| {
                into.push(done);
            })
        })
    }

    fn exchange(
        &mut self,
        device: u32,
        queue: u32,
        buffers: &[Buffer],
        into: &mut Out<'_, Completion>,
        listens: bool,
    ) -> Result<u32, DeviceError> {
        self.with_open(device, |claim, bus| {
            let taken = if buffers.is_empty() { 0 } else { bus.submit(claim.device, queue, buffers)? };
            bus.collect(claim.device, queue, into.remaining(), &mut |done| {
                into.push(done);
            })?;
            if listens && into.remaining() > 0 {
                bus.listen(claim.device)?;
            }
            Ok(taken)
        })
    }

    fn leftovers(&mut self, device: u32, queue: u32, into: &mut Out<'_, Completion>) -> Result<(), DeviceError> {
        self.with_open(device, |claim, _| {
            self.manager.leftovers.borrow_mut().take(claim.device, queue, &claim.regions, into);
            Ok(())
        })
    }
}
