//! The functions that a module exports: their profiles.

use crate::manager::ModuleManager;
use crate::module::ModuleId;
use crate::name::Name;
use crate::platform::Platform;
use crate::profile::CycleStatistics;

/// The profile of a function that a module exports.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FunctionProfile {
    /// The interface that it belongs to; `None` for a plain function.
    pub interface: Option<Name>,
    /// The number among the module's functions.
    pub number: u32,
    /// The number of its calls so far, including those that faulted.
    pub call_count: u64,
    /// The number of its calls that faulted.
    pub faults: u32,
    /// The statistics over all timed calls; `None` before the first.
    pub cycles: Option<CycleStatistics>,
    /// The result of the last call, or its status; `None` before the first.
    pub last_result: Option<i32>,
}

impl<P: Platform> ModuleManager<P> {
    /// Returns the profile of a function of a module; `None` if there is no such.
    #[must_use]
    pub fn function_stats(&self, id: ModuleId, number: u32) -> Option<FunctionProfile> {
        let module = self.get(id)?;
        let (entry, _) = module.metadata.bindings().function(number as usize)?;
        let function = module.metadata.interfaces()?.functions.get(number as usize)?;
        let snapshot = function.profile_buffer.snapshot(0);
        let call_count = function.call_count();
        let returned = call_count - u64::from(function.faults.get());
        Some(FunctionProfile {
            interface: Name::new(entry.interface),
            number,
            call_count,
            faults: function.faults.get(),
            cycles: snapshot.and_then(|snapshot| snapshot.statistics(self.call_overhead_cycles())),
            last_result: (returned > 0).then_some(function.last_result.get()),
        })
    }
}
