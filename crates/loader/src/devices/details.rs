//! The devices, for people.

use crate::manager::ModuleManager;
use crate::name::Name;
use crate::platform::{DeviceFacts, Platform};
use crate::registry::devices::ClaimState;

/// A device, and who has it.
#[derive(Clone, Copy, Debug)]
pub struct DeviceDetails {
    /// The facts.
    pub facts: DeviceFacts,
    /// The module that has it.
    pub owner: Option<Name>,
    /// Whether it is open.
    pub is_open: bool,
    /// Whether it could not be stopped when its driver ended, so that no one gets it again.
    pub is_lost: bool,
    /// The number of regions that it uses.
    pub regions: usize,
}

impl<P: Platform> ModuleManager<P> {
    /// Iterates over all devices, as they are found on their buses.
    pub fn devices(&self) -> impl Iterator<Item = DeviceDetails> {
        let bus = self.platform.device_bus();
        let facts = (0..bus.map_or(0, |bus| bus.count())).filter_map(move |device| Some((device, bus?.facts(device)?)));
        facts.map(|(device, facts)| {
            let claims = self.claims.borrow();
            let claim = claims.all().find(|claim| claim.device == device && claim.has_device());
            DeviceDetails {
                facts,
                owner: claim.map(|claim| claim.name),
                is_open: claim.is_some_and(|claim| claim.is_open),
                is_lost: claim.is_some_and(|claim| claim.state == ClaimState::Lost),
                regions: claim.map_or(0, |claim| claim.regions.iter().filter(|&&region| region != 0).count()),
            }
        })
    }
}
