//! The interfaces `device` and `virtio`, for one module that calls them.

use allocator_api2::alloc::Allocator;
use bareflow_abi::interface::{Frame, Reply, serve};
use bareflow_abi::{CallError, Out};
use bareflow_device::{Buffer, Completion, Description, Device, DeviceError, Virtio};
use bareflow_regions::{Access, RegionError};

use crate::manager::ModuleManager;
use crate::module::interfaces::Interfaces;
use crate::module::{Index, ModuleId};
use crate::platform::{DeviceBus, Platform};
use crate::registry::devices::Claim;
use crate::registry::regions::RegionTable;

/// The bytes of a configuration that are copied at once.
const CONFIG_PIECE: usize = 64;

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
        let Some(claim) = claims.active(self.module, device) else {
            let is_declared = claims.all().any(|claim| claim.module == self.module && claim.number == device);
            return Err(if is_declared { DeviceError::NotClaimed } else { DeviceError::NoSuchDevice });
        };
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
            let memory = bus.attach(claim.device, &found.memory)?;
            let Some(place) = claim.regions.get_mut(memory as usize) else { return Err(DeviceError::TooMany) };
            *place = region;
            found.access = Access::Shared;
            found.pins += 1;
            Ok(memory)
        })
    }

    fn detach(&mut self, device: u32, memory: u32) -> Result<(), DeviceError> {
        self.with_open(device, |claim, bus| {
            bus.detach(claim.device, memory)?;
            if let Some(region) = claim.regions.get_mut(memory as usize) {
                unpin(&mut self.manager.regions.borrow_mut(), core::mem::take(region));
            }
            Ok(())
        })?;
        self.manager.free_orphans();
        Ok(())
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
            let (mut piece, mut offset) = ([0; CONFIG_PIECE], offset);
            while into.remaining() > 0 {
                let length = into.remaining().min(CONFIG_PIECE);
                let bytes = piece.get_mut(..length).unwrap_or_default();
                bus.config(claim.device, offset, bytes)?;
                into.extend_from_slice(bytes);
                offset = offset.checked_add(length as u32).ok_or(DeviceError::OutOfRange)?;
            }
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
}

/// Notes that a device does not use a region any more.
pub(super) fn unpin<A: Allocator>(regions: &mut RegionTable<A>, number: u32) {
    if let Some(region) = regions.iter_mut().find(|region| region.number == number) {
        region.pins = region.pins.saturating_sub(1);
    }
}
