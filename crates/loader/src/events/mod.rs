//! Events: what the manager does with timers and notifications of modules.
//!
//! A module declares its events in its blob. Their slot is made when it is loaded (`lifecycle`), the module arms and
//! publishes by an interface that the loader provides (`serve`), and the embedder drives all of it by
//! [`run_events`](crate::ModuleManager::run_events) (`run`), also while a call is under way (`interrupt`).

mod details;
mod interrupt;
mod lifecycle;
mod run;
mod serve;

pub use details::EventDetails;
pub use run::{EventFault, EventsRun};

#[cfg(all(test, feature = "semver", feature = "reload", feature = "restart"))]
mod tests;
