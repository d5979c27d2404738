//! The choice of devices for a module that is loaded.

use bareflow_abi::devices::{Devices, Selector};
use bareflow_abi::events::Events;
use bareflow_abi::record::EVENTS;

use crate::error::LoadError;
use crate::format::records::first_record;
use crate::format::valid::ValidModule;
use crate::manager::ModuleManager;
use crate::module::ModuleId;
use crate::name::Name;
use crate::platform::{DeviceBus, Platform, Reach};
use crate::registry::devices::{Claim, ClaimState};

/// The module that is loaded.
struct Claimant {
    id: ModuleId,
    name: Name,
    /// The module that it will replace, whose devices it may have.
    replaced: Option<ModuleId>,
    /// Whether it may have devices by which it reaches all memory.
    is_trusted: bool,
}

impl<P: Platform> ModuleManager<P> {
    /// Chooses a device for each that the module in `valid` declares: if it `is_trusted`, also those by which it reaches all
    /// memory. It will replace the module `replaced`, whose devices it may have.
    ///
    /// # Errors
    /// There are no such devices, others have them, or there is no memory.
    #[cold]
    #[inline(never)]
    pub(crate) fn claim_devices(
        &self,
        id: ModuleId,
        valid: &ValidModule<'_>,
        is_trusted: bool,
        replaced: Option<ModuleId>,
    ) -> Result<(), LoadError> {
        let events = Events::new(first_record(valid.raw().records, EVENTS));
        let claimant = Claimant { id, name: valid.name(), replaced, is_trusted };
        for (selector, number) in Devices::new(valid.devices()).zip(0_u32..) {
            let bus = self.platform.device_bus().ok_or(LoadError::NoDevices { device: selector })?;
            let device = self.choose(bus, selector, &claimant)?;
            let mut told = events.handled().zip(0_u8..).filter(|(event, _)| event.device() == Some(number));
            let event = told.next().map(|(_, event)| event);
            let mut claims = self.claims.borrow_mut();
            self.leftovers.borrow_mut().reserve(claims.all().count()).ok_or(LoadError::NoMemory)?;
            claims.add(id, claimant.name, number, device, event).ok_or(LoadError::NoMemory)?;
            if bus.facts(device).is_some_and(|facts| facts.reach == Reach::Trusted) {
                bus.note_trust(device, claimant.name.as_str());
            }
        }
        Ok(())
    }

    /// Chooses the first device that fits and that the module may have: of those of the module that it replaces if that has one.
    fn choose(&self, bus: &dyn DeviceBus, selector: Selector, claimant: &Claimant) -> Result<u32, LoadError> {
        let claims = self.claims.borrow();
        let is_replaceds =
            |device: &u32| claims.all().any(|claim| claim.device == *device && Some(claim.module) == claimant.replaced);
        let all = || 0..bus.count();
        let replaceds = all().filter(is_replaceds);
        let others = all().filter(|device| !is_replaceds(device));
        let mut refused = None;
        for device in replaceds.chain(others) {
            let Some(facts) = bus.facts(device).filter(|facts| selector.fits(&facts.ids)) else { continue };
            let mut holders = claims.all().filter(|claim| claim.device == device && claimant.must_yield_to(claim));
            let error = match holders.next() {
                _ if facts.is_embedders => LoadError::DeviceReserved { device: selector },
                _ if facts.problem.is_some() => LoadError::DeviceUnusable { device: selector },
                // It declares several, and this is another one's.
                Some(claim) if claim.module == claimant.id => continue,
                Some(Claim { state: ClaimState::Lost, .. }) => LoadError::DeviceUnusable { device: selector },
                Some(claim) => LoadError::DeviceTaken { device: selector, by: claim.name },
                None if facts.reach == Reach::Trusted && !claimant.is_trusted => {
                    LoadError::DeviceUnbounded { device: selector }
                }
                None => return Ok(device),
            };
            // The one that can be helped most easily is told.
            if refused.is_none() || matches!(error, LoadError::DeviceTaken { .. }) {
                refused = Some(error);
            }
        }
        Err(refused.unwrap_or(LoadError::NoSuchDevice { device: selector }))
    }
}

impl Claimant {
    /// Returns whether a claim keeps the module from a device: not that of the module which it replaces, nor one of a version
    /// of its own that only waits, as it does itself.
    fn must_yield_to(&self, claim: &Claim) -> bool {
        match claim.state {
            ClaimState::Lost => true,
            ClaimState::Active => Some(claim.module) != self.replaced,
            ClaimState::Waiting => claim.module == self.id || claim.name != self.name,
            ClaimState::Passed => false,
        }
    }
}
