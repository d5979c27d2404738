//! Devices from the time that a module goes live to its end.

use crate::manager::ModuleManager;
use crate::module::{Index, ModuleId};
use crate::platform::Platform;
use crate::registry::devices::{Claim, ClaimState};
use crate::registry::leftovers::Leftover;

impl<P: Platform> ModuleManager<P> {
    /// Gives a module that became the active one of its name the devices that it declares, which the module `before` has, and
    /// tells it so by their events.
    #[inline]
    pub(crate) fn start_devices(&self, id: ModuleId, before: Option<ModuleId>) {
        if !self.claims.borrow().is_empty() {
            self.hand_over_devices(id, before);
        }
    }

    /// Does what [`start_devices`](Self::start_devices) does, apart from the switches of modules without devices.
    #[cold]
    #[inline(never)]
    fn hand_over_devices(&self, id: ModuleId, before: Option<ModuleId>) {
        if let Some(before) = before {
            let mut claims = self.claims.borrow_mut();
            claims.of_mut(before.index as Index).for_each(|claim| {
                self.close_device(claim);
                claim.pass();
            });
            drop(claims);
            self.free_orphans();
        }
        self.claims.borrow_mut().activate(id.index as Index);
        self.tell_of_devices(id);
    }

    /// Makes the events of the devices due that a module has, since they were closed: it was started again, or could not be.
    #[inline]
    pub(crate) fn tell_of_devices(&self, id: ModuleId) {
        let mut claims = self.claims.borrow_mut();
        if !claims.is_empty() {
            let active = |claim: &&mut Claim| claim.state == ClaimState::Active;
            claims.of_mut(id.index as Index).filter(active).for_each(|claim| self.make_due(claim));
        }
    }

    /// Closes the devices of the module in a slot. What they used is freed by [`free_orphans`](Self::free_orphans).
    pub(crate) fn close_devices(&self, module: Index) {
        let mut claims = self.claims.borrow_mut();
        claims.of_mut(module).for_each(|claim| self.close_device(claim));
    }

    /// Closes the devices of the module in a slot, which does not have them any more.
    pub(crate) fn release_devices(&self, module: Index) {
        self.close_devices(module);
        let mut claims = self.claims.borrow_mut();
        claims.remove(module);
        self.leftovers.borrow_mut().keep_of(|device| claims.all().any(|claim| claim.device == device));
    }

    /// Closes all devices. No module runs any more.
    pub(crate) fn close_all_devices(&self) {
        self.claims.borrow_mut().all_mut().for_each(|claim| self.close_device(claim));
    }

    /// Closes a device, if it is open. What it was done with in memory that others lent its driver is kept for the next one.
    pub(super) fn close_device(&self, claim: &mut Claim) {
        if !core::mem::take(&mut claim.is_open) {
            return;
        }
        let Claim { device, module, .. } = *claim;
        let module = module.index as Index;
        let attached = core::mem::take(&mut claim.regions);
        let mut leftovers = self.leftovers.borrow_mut();
        leftovers.forget(device, &attached);
        leftovers.keep_in(|region| self.has_owner(region));
        let mut keep = |queue, memory: u32, done| {
            let region = attached.get(memory as usize).copied().unwrap_or_default();
            if self.is_anothers(region, module) {
                leftovers.add(Leftover { device, queue, region, done });
            }
        };
        let is_quiet = self.platform.device_bus().is_some_and(|bus| bus.close(device, &mut keep));
        for region in attached.into_iter().filter(|&region| region != 0) {
            self.unpin_region(region, module, is_quiet);
        }
        if !is_quiet {
            claim.state = ClaimState::Lost;
        }
    }

    /// Makes the events of devices due that sent interrupts.
    #[inline]
    pub(crate) fn note_interrupts(&self) {
        if !self.claims.borrow().is_empty() {
            self.note_interrupts_of_devices();
        }
    }

    /// Does what [`note_interrupts`](Self::note_interrupts) does, apart from the events of modules without devices.
    #[cold]
    #[inline(never)]
    fn note_interrupts_of_devices(&self) {
        let mut claims = self.claims.borrow_mut();
        let interrupts = self.platform.device_bus().map_or(0, |bus| bus.take_interrupts());
        let has_sent = |claim: &&mut Claim| claim.device < u64::BITS && interrupts & 1 << claim.device != 0;
        let has_device = |claim: &&mut Claim| claim.state == ClaimState::Active;
        claims.all_mut().filter(has_sent).filter(has_device).for_each(|claim| self.make_due(claim));
    }

    /// Makes the event of a device due.
    fn make_due(&self, claim: &Claim) {
        if let Some(event) = claim.event {
            self.make_event_due(claim.module, event);
        }
    }
}
