//! The devices that modules have, and those that they wait for.

use allocator_api2::alloc::Allocator;
use allocator_api2::vec::Vec;

use crate::module::{Index, ModuleId};
use crate::name::Name;

/// The most memories of a device.
const MAX_MEMORIES: usize = 16;

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
    /// Whether the module has the device. A module that is being loaded waits for it.
    pub is_active: bool,
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
        let regions = [0; MAX_MEMORIES];
        self.0.push(Claim { module, name, number, device, event, is_active: false, is_open: false, regions });
        Some(())
    }

    /// Iterates over the claims of the module in a slot.
    pub fn of_mut(&mut self, module: Index) -> impl Iterator<Item = &mut Claim> {
        self.0.iter_mut().filter(move |claim| claim.module.index as Index == module)
    }

    /// Returns the claim by which a module has a device, by its own number of it.
    pub fn active(&mut self, module: ModuleId, number: u32) -> Option<&mut Claim> {
        self.0.iter_mut().find(|claim| claim.module == module && claim.number == number && claim.is_active)
    }

    /// Removes the claims of the module in a slot.
    pub fn remove(&mut self, module: Index) {
        self.0.retain(|claim| claim.module.index as Index != module);
    }
}
