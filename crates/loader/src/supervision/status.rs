//! The state of a supervised module.

use crate::error::LoadError;
use crate::manager::ModuleManager;
use crate::module::ModuleId;
use crate::module::notice::Notice;
use crate::module::supervision::{FellBack, Step};
use crate::name::Version;
use crate::platform::Platform;
use crate::policy::FaultPolicy;

/// The state of a supervised module: one whose policy delays restarts, or falls back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Supervised {
    /// The policy.
    pub policy: FaultPolicy,
    /// The time until it starts again, in microseconds; 0 if that is due, `None` if it does not wait.
    pub starts_in_us: Option<u64>,
    /// Whether it waits for the version before it, which takes its place.
    pub falls_back: bool,
    /// The number of restarts within the policy's window up to now.
    pub restarts_within_window: u32,
    /// The reason for which it could not be started again the last time; `None` once it was.
    pub refusal: Option<LoadError>,
    /// The version that it may return to.
    pub previous: Option<Version>,
    /// The reason for which it runs instead of a later version.
    pub fell_back: Option<FellBack>,
}

impl<P: Platform> ModuleManager<P> {
    /// Returns the state of a supervised module; `None` if it is none, or gone.
    #[must_use]
    pub fn supervised(&self, id: ModuleId) -> Option<Supervised> {
        let module = self.get(id)?;
        let supervision = module.metadata.supervision()?;
        let policy = module.metadata.options().on_fault;
        let now = self.platform.microseconds().unwrap_or_default();
        let due = supervision.due.get();
        Some(Supervised {
            policy,
            starts_in_us: due.map(|(due, _)| due.saturating_sub(now)),
            falls_back: matches!(due, Some((_, Step::FallBack))),
            restarts_within_window: supervision.restarts_within(policy, now),
            refusal: supervision.refusal.get(),
            previous: supervision.previous_version(),
            fell_back: supervision.fell_back.get(),
        })
    }

    /// Passes the blob that a module is restarted from to `look`; `None` if it was not kept.
    pub fn with_blob<T>(&self, id: ModuleId, look: impl FnOnce(&[u8]) -> T) -> Option<T> {
        let module = self.get(id)?;
        Some(module.metadata.blob()).filter(|blob| !blob.is_empty()).map(look)
    }

    /// Takes the oldest notice of what happened to supervised modules. The last eight are kept.
    pub fn take_notice(&self) -> Option<Notice> {
        self.notices.take()
    }
}
