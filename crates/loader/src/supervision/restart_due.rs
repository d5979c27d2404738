//! Restarts after a delay.

use crate::error::{LoadError, RestartError};
use crate::manager::ModuleManager;
use crate::module::notice::{Happening, Notice};
use crate::module::supervision::{Step, Supervision};
use crate::module::{Module, ModuleId};
use crate::platform::Platform;
use bareflow_abi::events;

impl<P: Platform> ModuleManager<P> {
    /// Takes the step that has been due for the longest time: restarts a module whose delay has passed, or lets the version
    /// before it take its place.
    ///
    /// Returns the time at which the next step is due, on the clock of [`Platform::microseconds`]; `None` if there is none.
    /// If that time has passed, further steps are due: one is taken at each call, so that no module's `init` delays the
    /// embedder for longer than that of one module. As long as nothing is due, a call costs a comparison.
    ///
    /// It may be called wherever modules may be loaded, also while a module runs.
    pub fn restart_due(&self) -> Option<u64> {
        let next = self.next_step.get()?;
        let now = self.platform.microseconds()?;
        if next > now {
            return Some(next);
        }
        let longest = self.steps().filter(|(due, ..)| *due <= now).min_by_key(|(due, ..)| *due);
        if let Some((_, step, id)) = longest {
            self.keeping_last_fault(|| match step {
                Step::Restart => self.restart_now(id),
                Step::FallBack => self.fall_back(id),
            });
        }
        self.note_next_step();
        self.next_step.get()
    }

    /// Finds out when the next step is due.
    pub(super) fn note_next_step(&self) {
        self.next_step.set(self.steps().map(|(due, ..)| due).min());
    }

    /// Iterates over the steps that modules wait for.
    fn steps(&self) -> impl Iterator<Item = (u64, Step, ModuleId)> {
        self.ids().filter_map(|id| {
            let module = self.get(id).filter(|module| !module.lifecycle.is_retired())?;
            let (due, step) = module.metadata.supervision()?.due.get()?;
            Some((due, step, id))
        })
    }

    /// Decides on the next step after a fault of a module that is stopped now.
    #[cold]
    #[inline(never)]
    pub(super) fn supervise(&self, module: &Module<P>, supervision: &Supervision<P::Alloc>) {
        // A call that overlapped the one that faulted first changes nothing.
        if supervision.due.get().is_some() {
            return;
        }
        // A policy that needs the clock is refused where there is none.
        let now = self.platform.microseconds().unwrap_or_default();
        let fault = module.faults.last();
        match (supervision.after_fault(module.metadata.options().on_fault, now), fault) {
            (Some((due, step)), Some(fault)) => {
                self.wait_for(supervision, due, step);
                self.tell(
                    module,
                    match step {
                        Step::Restart => Happening::Waits { fault, starts_in_us: due.saturating_sub(now) },
                        Step::FallBack => Happening::GivesWay(fault),
                    },
                );
            }
            _ => self.stays_stopped(module),
        }
    }

    /// Lets a module wait for a step that is due at the time `due`.
    pub(super) fn wait_for(&self, supervision: &Supervision<P::Alloc>, due: u64, step: Step) {
        supervision.due.set(Some((due, step)));
        self.next_step.set(Some(self.next_step.get().map_or(due, |next| next.min(due))));
    }

    /// Restarts a module whose delay has passed.
    fn restart_now(&self, id: ModuleId) {
        let Some(module) = self.get(id) else { return };
        let Some(supervision) = module.metadata.supervision() else { return };
        supervision.due.set(None);
        let policy = module.metadata.options().on_fault;
        drop(module);
        let renewed = self.renew(id, None);
        let now = self.platform.microseconds().unwrap_or_default();
        let Some(module) = self.get(id) else { return };
        let Some(supervision) = module.metadata.supervision() else { return };
        match renewed {
            Ok(()) => {
                supervision.refusal.set(None);
                supervision.note_restart(now);
                self.tell(&module, Happening::Restarted);
            }
            Err(RestartError::Load(error)) => {
                supervision.refusal.set(Some(error));
                self.tell(&module, Happening::Refused(error));
                match error {
                    LoadError::InitFaulted(fault) | LoadError::ParametersFaulted(fault) => {
                        let (diagnosis, allocator) = (self.platform.diagnosis(), self.platform.allocator());
                        module.faults.note(&module.faults.count, fault, diagnosis, allocator);
                    }
                    // The module did nothing wrong, so this is none of its restarts.
                    _ if error.is_for_memory() => {
                        return self.wait_for(supervision, supervision.after_failure(policy, now), Step::Restart);
                    }
                    _ => {}
                }
                supervision.note_restart(now);
                self.supervise(&module, supervision);
            }
            // A call is still running in the old image.
            Err(_) => self.wait_for(supervision, supervision.after_failure(policy, now), Step::Restart),
        }
    }

    /// Says that a module stays stopped.
    pub(super) fn stays_stopped(&self, module: &Module<P>) {
        self.notify_for(&module.name, events::STOPPED);
        self.tell(module, Happening::Stopped(module.faults.last()));
    }

    /// Keeps a notice for the embedder.
    pub(super) fn tell(&self, module: &Module<P>, happening: Happening) {
        self.notices.add(Notice { name: module.name, version: module.version, happening });
    }
}
