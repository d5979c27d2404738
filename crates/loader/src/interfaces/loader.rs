//! The interfaces that the loader itself provides to modules. Unlike the embedder's, they know which module calls.

#[cfg(feature = "supervision")]
use bareflow_abi::interface::CallError;
use bareflow_abi::interface::{Frame, Reply};

use crate::manager::ModuleManager;
use crate::module::interfaces::{Interfaces, LoaderInterface};
use crate::platform::Platform;
use crate::registry::embedder::Exported;

impl LoaderInterface {
    /// All of them.
    pub const ALL: &[LoaderInterface] = &[
        #[cfg(feature = "devices")]
        LoaderInterface::Device,
        #[cfg(feature = "devices")]
        LoaderInterface::Virtio,
        #[cfg(feature = "events")]
        LoaderInterface::Events,
        #[cfg(feature = "regions")]
        LoaderInterface::Regions,
        #[cfg(feature = "report")]
        LoaderInterface::Report,
        #[cfg(feature = "supervision")]
        LoaderInterface::Supervision,
    ];

    /// Returns the interface.
    pub fn exported(self) -> Exported {
        match self {
            #[cfg(feature = "devices")]
            LoaderInterface::Device => Exported::of::<dyn bareflow_device::Device>(),
            #[cfg(feature = "devices")]
            LoaderInterface::Virtio => Exported::of::<dyn bareflow_device::Virtio>(),
            #[cfg(feature = "events")]
            LoaderInterface::Events => Exported::of::<dyn bareflow_events::Events>(),
            #[cfg(feature = "regions")]
            LoaderInterface::Regions => Exported::of::<dyn bareflow_regions::Regions>(),
            #[cfg(feature = "report")]
            LoaderInterface::Report => Exported::of::<dyn bareflow_report::Report>(),
            #[cfg(feature = "supervision")]
            LoaderInterface::Supervision => Exported::of::<dyn bareflow_supervision::Supervision>(),
        }
    }
}

impl<P: Platform> ModuleManager<P> {
    /// Calls a method of an interface that the loader provides, for the module `caller`.
    #[cfg_attr(
        not(any(feature = "events", feature = "regions")),
        expect(unused_variables, reason = "nothing that the loader provides depends on who calls")
    )]
    pub(super) fn call_loader(
        &self,
        interface: LoaderInterface,
        caller: &Interfaces<P::Alloc>,
        method: u32,
        frame: &mut Frame<'_>,
    ) -> Reply {
        match interface {
            #[cfg(feature = "devices")]
            LoaderInterface::Device => self.serve_device(caller, method, frame),
            #[cfg(feature = "devices")]
            LoaderInterface::Virtio => self.serve_virtio(caller, method, frame),
            #[cfg(feature = "events")]
            LoaderInterface::Events => self.serve_events(caller, method, frame),
            #[cfg(feature = "regions")]
            LoaderInterface::Regions => self.serve_regions(caller, method, frame),
            #[cfg(feature = "report")]
            LoaderInterface::Report => self.serve_report(method, frame),
            #[cfg(feature = "supervision")]
            LoaderInterface::Supervision => {
                // A restart calls `init`, one level deeper.
                let called = self.one_deeper(|| self.serve_supervision(caller, method, frame));
                called.unwrap_or(CallError::TooDeep.into())
            }
        }
    }
}
