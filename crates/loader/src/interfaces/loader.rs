//! The interfaces that the loader itself provides to modules. Unlike the embedder's, they know which module calls.

#[cfg(feature = "supervision")]
use bareflow_abi::interface::CallError;
use bareflow_abi::interface::{Frame, Reply};

use crate::manager::ModuleManager;
use crate::module::interfaces::{Interfaces, OwnInterface};
use crate::platform::Platform;
use crate::registry::embedder::Exported;

/// The name by which modules ask for them.
pub(super) const OWN_NAME: &str = "loader";

impl OwnInterface {
    /// All of them.
    pub const ALL: &[OwnInterface] = &[
        #[cfg(feature = "events")]
        OwnInterface::Events,
        #[cfg(feature = "regions")]
        OwnInterface::Regions,
        #[cfg(feature = "supervision")]
        OwnInterface::Supervision,
    ];

    /// Returns the interface.
    pub fn exported(self) -> Exported {
        match self {
            #[cfg(feature = "events")]
            OwnInterface::Events => Exported::of::<dyn bareflow_events::Events>(),
            #[cfg(feature = "regions")]
            OwnInterface::Regions => Exported::of::<dyn bareflow_regions::Regions>(),
            #[cfg(feature = "supervision")]
            OwnInterface::Supervision => Exported::of::<dyn bareflow_supervision::Supervision>(),
        }
    }
}

impl<P: Platform> ModuleManager<P> {
    /// Calls a method of an interface that the loader provides, for the module `caller`.
    #[cfg_attr(
        not(any(feature = "events", feature = "regions")),
        expect(unused_variables, reason = "the loader provides none")
    )]
    pub(super) fn call_own(
        &self,
        own: OwnInterface,
        caller: &Interfaces<P::Alloc>,
        method: u32,
        frame: &mut Frame<'_>,
    ) -> Reply {
        match own {
            #[cfg(feature = "events")]
            OwnInterface::Events => self.serve_events(caller, method, frame),
            #[cfg(feature = "regions")]
            OwnInterface::Regions => self.serve_regions(caller, method, frame),
            #[cfg(feature = "supervision")]
            OwnInterface::Supervision => {
                // A restart calls `init`, one level deeper.
                let called = self.one_deeper(|| self.serve_supervision(caller, method, frame));
                called.unwrap_or(CallError::TooDeep.into())
            }
        }
    }
}
