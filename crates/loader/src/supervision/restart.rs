//! Restarts that someone asks for.

use super::Happening;
use crate::error::RestartError;
use crate::manager::ModuleManager;
use crate::module::ModuleId;
use crate::platform::Platform;
use crate::registry::Slot;

impl<P: Platform> ModuleManager<P> {
    /// Gives a module a fresh image and a fresh state, whether it runs, waits or was stopped by a fault.
    ///
    /// It is made from the blob that was kept for restarts, or else from `blob`, which is that of the module. The delays and
    /// counts of its policy begin anew. Its users' next calls are [`Restarted`](bareflow_abi::interface::CallError).
    ///
    /// # Errors
    /// The reason for which it was not restarted. The module is as it was, but for its regions, which are gone, and
    /// its timers, which are those of its declaration again.
    pub fn restart(&self, id: ModuleId, blob: Option<&[u8]>) -> Result<(), RestartError> {
        // Without room, no notice is kept.
        let _ = self.notices.reserve(self.platform.allocator());
        self.renew(id, blob)?;
        if let Some(module) = self.get(id) {
            if let Some(supervision) = module.metadata.supervision() {
                supervision.reset();
                self.note_next_step();
            }
            self.tell(&module, Happening::Restarted);
        }
        Ok(())
    }

    /// Restarts a module from the blob that was kept: now, or after the call of it that is under way.
    pub(crate) fn restart_when_idle(&self, id: ModuleId) -> Result<(), RestartError> {
        let is_busy = self.registry.slot(id.index).is_some_and(Slot::is_borrowed);
        let module = self.get(id).ok_or(RestartError::NotLoaded)?;
        if module.metadata.blob().is_empty() {
            return Err(RestartError::NotKept);
        }
        if is_busy {
            module.lifecycle.set_restarts(true);
            return Ok(());
        }
        drop(module);
        self.restart(id, None)
    }

    /// Restarts a module after a call, since someone asked for it meanwhile. If that fails, it goes on as it was.
    pub(super) fn restart_as_asked(&self, id: ModuleId) {
        match self.restart(id, None) {
            Ok(()) => {}
            // Another call is under way.
            Err(RestartError::Busy) => {}
            Err(error) => {
                let Some(module) = self.get(id) else { return };
                module.lifecycle.set_restarts(false);
                if let RestartError::Load(error) = error {
                    self.tell(&module, Happening::Refused(error));
                }
            }
        }
    }
}
