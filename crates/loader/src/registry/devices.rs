//! The devices that modules have, and those that they wait for.

use allocator_api2::alloc::Allocator;
use allocator_api2::vec::Vec;
use bareflow_device::MAX_MEMORIES;

use crate::module::{Index, ModuleId};
use crate::name::Name;

/// The state of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClaimState {
    /// The module is being loaded, or waits to replace the one that has the device.
    Waiting,
    /// The module has the device.
    Active,
    /// Another version has it.
    Passed,
    /// The device could not be stopped. No one gets it again, and the claim stays for good.
    Lost,
}

/// A module's claim to a device.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim {
    pub module: ModuleId,
    pub name: Name,
    /// The device's number in the module.
    pub number: u32,
    /// The device's number at the embedder.
    pub device: u32,
    /// The number of the event by which the module is told of interrupts.
    pub event: Option<u8>,
    pub state: ClaimState,
    pub is_open: bool,
    /// The regions of the memories that are attached; 0 for none, which is no region's number.
    pub regions: [u32; MAX_MEMORIES],
}

/// All claims.
pub(crate) struct ClaimTable<A: Allocator>(Vec<Claim, A>);

impl<A: Allocator> ClaimTable<A> {
    /// Creates an empty table.
    pub const fn new_in(allocator: A) -> ClaimTable<A> {
        ClaimTable(Vec::new_in(allocator))
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Iterates over all claims.
    pub fn all(&self) -> impl Iterator<Item = &Claim> {
        self.0.iter()
    }

    /// Iterates over all claims.
    pub fn all_mut(&mut self) -> impl Iterator<Item = &mut Claim> {
        self.0.iter_mut()
    }

    /// Adds a claim of a module that waits for the device; `None` if there is no memory.
    pub fn add(&mut self, module: ModuleId, name: Name, number: u32, device: u32, event: Option<u8>) -> Option<()> {
        self.0.try_reserve(1).ok()?;
        let (state, regions) = (ClaimState::Waiting, [0; MAX_MEMORIES]);
        self.0.push(Claim { module, name, number, device, event, state, is_open: false, regions });
        Some(())
    }

    /// Iterates over the claims of the module in a slot, but for those to lost devices.
    pub fn of_mut(&mut self, module: Index) -> impl Iterator<Item = &mut Claim> {
        self.0.iter_mut().filter(move |claim| claim.module.index as Index == module && claim.state != ClaimState::Lost)
    }

    /// Returns a module's claim, by its own number of the device.
    pub fn of(&mut self, module: ModuleId, number: u32) -> Option<&mut Claim> {
        self.0.iter_mut().find(|claim| claim.module == module && claim.number == number)
    }

    /// Gives the module in a slot the devices that it waits for and that no one else has.
    pub fn activate(&mut self, module: Index) {
        for place in 0..self.0.len() {
            let Claim { module: own, device, state, .. } = self.0[place];
            let is_waiting = own.index as Index == module && state == ClaimState::Waiting;
            let has = |claim: &Claim| claim.device == device && claim.has_device();
            if is_waiting && !self.0.iter().any(has) {
                self.0[place].state = ClaimState::Active;
            }
        }
    }

    /// Removes the claims of the module in a slot, but for those to lost devices.
    pub fn remove(&mut self, module: Index) {
        self.0.retain(|claim| claim.module.index as Index != module || claim.state == ClaimState::Lost);
    }
}

impl Claim {
    /// Leaves the device to another version.
    pub fn pass(&mut self) {
        if self.state != ClaimState::Lost {
            self.state = ClaimState::Passed;
        }
    }

    /// Returns whether no one else may have the device.
    pub fn has_device(&self) -> bool {
        matches!(self.state, ClaimState::Active | ClaimState::Lost)
    }
}
