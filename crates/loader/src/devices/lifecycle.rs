//! Devices from the time that a module goes live to its end.

use super::serve::unpin;
use crate::manager::ModuleManager;
use crate::module::{Index, ModuleId};
use crate::platform::Platform;
use crate::registry::devices::Claim;

impl<P: Platform> ModuleManager<P> {
    /// Gives a module that went live, or was started again, the devices that it declares, which the module `before` has, and
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
            self.release_devices(before.index as Index);
            self.free_orphans();
        }
        let mut claims = self.claims.borrow_mut();
        claims.of_mut(id.index as Index).for_each(|claim| {
            claim.is_active = true;
            self.make_due(claim);
        });
    }

    /// Closes the devices of the module in a slot. What they used is freed by [`free_orphans`](Self::free_orphans).
    pub(crate) fn close_devices(&self, module: Index) {
        let mut claims = self.claims.borrow_mut();
        claims.of_mut(module).for_each(|claim| self.close_device(claim));
    }

    /// Closes the devices of the module in a slot, which does not have them any more.
    pub(crate) fn release_devices(&self, module: Index) {
        self.close_devices(module);
        self.claims.borrow_mut().remove(module);
    }

    /// Closes all devices. No module runs any more.
    pub(crate) fn close_all_devices(&self) {
        self.claims.borrow_mut().all_mut().for_each(|claim| self.close_device(claim));
    }

    /// Closes a device, if it is open.
    pub(super) fn close_device(&self, claim: &mut Claim) {
        if !core::mem::take(&mut claim.is_open) {
            return;
        }
        let is_quiet = self.platform.device_bus().is_some_and(|bus| bus.close(claim.device));
        let regions = core::mem::take(&mut claim.regions);
        // Memory that the device may still use is never freed.
        if is_quiet {
            let mut table = self.regions.borrow_mut();
            regions.into_iter().filter(|&region| region != 0).for_each(|region| unpin(&mut table, region));
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
        claims.all_mut().filter(has_sent).filter(|claim| claim.is_active).for_each(|claim| self.make_due(claim));
    }

    /// Makes the event of a device due.
    fn make_due(&self, claim: &Claim) {
        if let Some(event) = claim.event {
            self.make_event_due(claim.module, event);
        }
    }
}
