//! The cost of a module's calls so far, by which its tier is chosen.

use allocator_api2::alloc::Allocator;

use crate::manager::ModuleManager;
use crate::module::ModuleId;
use crate::platform::Platform;
use crate::profile::sampler::Sampler;
use crate::profile::{ProfileBuffer, Snapshot};

/// The calls of a module since it was loaded: of its `run`, its functions and its handlers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// The number of calls that returned.
    pub calls: u64,
    /// Their cycles. Those of calls that were not timed are estimated by those that were.
    pub cycles: u64,
}

impl Cost {
    /// Returns the cost of the calls that were counted here.
    fn of<A: Allocator>(buffer: &ProfileBuffer<A>, sampler: &Sampler) -> Cost {
        let (timed, untimed) = (buffer.count(), sampler.untimed());
        let cycles = buffer.snapshot(0).as_ref().map_or(0, Snapshot::total_cycles);
        let estimated = u128::from(cycles) * u128::from(untimed) / u128::from(timed.max(1));
        let cycles = cycles.saturating_add(u64::try_from(estimated).unwrap_or(u64::MAX));
        Cost { calls: timed.saturating_add(untimed), cycles }
    }
}

impl<P: Platform> ModuleManager<P> {
    /// Returns the cost of the module's calls since it was loaded.
    #[must_use]
    pub fn cost(&self, id: ModuleId) -> Option<Cost> {
        let module = self.get(id)?;
        let functions = module.metadata.interfaces().map_or(&[][..], |interfaces| &interfaces.functions);
        let functions = functions.iter().map(|function| Cost::of(&function.profile_buffer, &function.sampler));
        let all = functions.fold(Cost::of(&module.profile_buffer, &module.sampler), |all, one| Cost {
            calls: all.calls.saturating_add(one.calls),
            cycles: all.cycles.saturating_add(one.cycles),
        });
        Some(all)
    }
}
