//! The handling of a module after a fault: it is stopped, or restarted with a fresh image.

use crate::error::{LoadError, RestartError};
use crate::manager::ModuleManager;
#[cfg(feature = "regions")]
use crate::module::Index;
use crate::module::ModuleId;
use crate::module::lifecycle::ModuleState;
use crate::name::Name;
use crate::platform::{Occurrence, Platform};
#[cfg(feature = "regions")]
use crate::registry::Slot;
use bareflow_abi::events;

impl<P: Platform> ModuleManager<P> {
    /// Applies the module's fault policy.
    #[cold]
    #[inline(never)]
    pub(crate) fn fail(&self, id: ModuleId) {
        // Other calls of it may be running.
        #[cfg(feature = "regions")]
        let is_running = self.registry.slot(id.index).is_some_and(Slot::is_borrowed);
        let Some(module) = self.get(id) else { return };
        let faults = &module.faults;
        module.lifecycle.stop();
        #[cfg(feature = "events")]
        self.stop_events(&module);
        #[cfg(feature = "devices")]
        self.close_devices(id.index as Index);
        #[cfg(feature = "regions")]
        self.lose_regions(id.index as Index, &module.metadata, is_running);
        self.platform.trace(&module.name, Occurrence::Stopped);
        self.publish_own(&module.name, events::FAULTED);
        #[cfg(feature = "supervision")]
        if let Some(supervision) = module.metadata.supervision() {
            return self.supervise(&module, supervision);
        }
        if !cfg!(feature = "restart") || !module.metadata.options().on_fault.restarts(faults.restarts.get()) {
            return self.publish_own(&module.name, events::STOPPED);
        }
        drop(module);
        self.restart_after_fault(id);
    }

    /// Restarts a module that its policy restarts at once: now, or after the calls of it that are under way.
    fn restart_after_fault(&self, id: ModuleId) {
        let Err(error) = self.renew(id, None) else { return };
        let Some(module) = self.get(id) else { return };
        module.lifecycle.set_restarts(error == RestartError::Busy);
        match error {
            RestartError::Busy => return,
            // A module whose `init` faults stays stopped.
            RestartError::Load(LoadError::InitFaulted(fault) | LoadError::ParametersFaulted(fault)) => {
                module.faults.note(&module.faults.count, fault, self.platform.diagnosis(), self.platform.allocator());
            }
            _ => {}
        }
        self.publish_own(&module.name, events::STOPPED);
    }

    /// Restarts a module after a call, if its policy or someone else asked for it meanwhile.
    pub(crate) fn restart_if_asked(&self, id: ModuleId) {
        let Some(module) = self.get(id).filter(|module| module.lifecycle.restarts()) else { return };
        let is_stopped = module.lifecycle.state() == ModuleState::Stopped;
        let by_policy = is_stopped && module.metadata.options().on_fault.restarts(module.faults.restarts.get());
        drop(module);
        match by_policy {
            true => self.restart_after_fault(id),
            #[cfg(feature = "supervision")]
            false => self.restart_as_asked(id),
            #[cfg(not(feature = "supervision"))]
            false => {}
        }
    }

    /// Publishes a notification in the name of a module.
    #[inline]
    pub(super) fn publish_own(&self, name: &Name, notification: &str) {
        #[cfg(feature = "events")]
        self.notify_for(name, notification);
        #[cfg(not(feature = "events"))]
        let _ = (name, notification);
    }
}
