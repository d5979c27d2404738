//! The choice of devices for a module that is loaded.

use bareflow_abi::devices::{Devices, Selector};
use bareflow_abi::events::{Events, Kind};
use bareflow_abi::record::EVENTS;

use crate::error::LoadError;
use crate::format::records::first_record;
use crate::format::valid::ValidModule;
use crate::manager::ModuleManager;
use crate::module::ModuleId;
use crate::platform::{DeviceBus, Platform, Reach};

impl<P: Platform> ModuleManager<P> {
    /// Chooses a device for each that the module in `valid` declares. It will replace the module `replaced`, whose devices it
    /// may have.
    ///
    /// # Errors
    /// There are no such devices, others have them, or there is no memory.
    #[cold]
    #[inline(never)]
    pub(crate) fn claim_devices(
        &self,
        id: ModuleId,
        valid: &ValidModule<'_>,
        replaced: Option<ModuleId>,
    ) -> Result<(), LoadError> {
        let events = Events::new(first_record(valid.raw().records, EVENTS));
        for (selector, number) in Devices::new(valid.devices()).zip(0_u32..) {
            let bus = self.platform.device_bus().ok_or(LoadError::NoDevices { device: selector })?;
            let device = self.choose(bus, selector, id, replaced)?;
            let is_told = |event: &bareflow_abi::events::Event<'_>| {
                event.kind == Kind::Interrupt && event.period_us == u64::from(number)
            };
            let event = events.handled().zip(0_u8..).find(|(event, _)| is_told(event)).map(|(_, event)| event);
            let added = self.claims.borrow_mut().add(id, valid.name(), number, device, event);
            added.ok_or(LoadError::NoMemory)?;
        }
        Ok(())
    }

    /// Chooses the first device that fits and that no one else has, of those of the module `replaced` if it has one.
    fn choose(
        &self,
        bus: &dyn DeviceBus,
        selector: Selector,
        id: ModuleId,
        replaced: Option<ModuleId>,
    ) -> Result<u32, LoadError> {
        let claims = self.claims.borrow();
        let fits = |device: &u32| {
            bus.facts(*device)
                .is_some_and(|facts| selector.fits(&facts.ids) && !facts.is_embedders && facts.problem.is_none())
        };
        let holder = |device: u32| {
            let has =
                |claim: &&crate::registry::devices::Claim| claim.device == device && Some(claim.module) != replaced;
            claims.all().find(has)
        };
        let mut own = claims.all().filter(|claim| Some(claim.module) == replaced).map(|claim| claim.device);
        let all = || (0..bus.count()).filter(fits);
        let is_free = |device: &u32| holder(*device).is_none();
        let found = own.find(|device| fits(device) && is_free(device)).or_else(|| all().find(is_free));
        let Some(device) = found else {
            let others = all().find_map(holder).filter(|claim| claim.module != id);
            return Err(match others {
                Some(claim) => LoadError::DeviceTaken { device: selector, by: claim.name },
                None => LoadError::NoSuchDevice { device: selector },
            });
        };
        match bus.facts(device).map(|facts| facts.reach) {
            Some(Reach::Checked | Reach::Iommu) => Ok(device),
            _ => Err(LoadError::DeviceUnbounded { device: selector }),
        }
    }
}
