//! Profiling: clock readings around calls, statistics over them, and the cost of reading the clock.

pub mod counters;
pub mod histogram;
pub mod peak;
pub(crate) mod sampler;
pub(crate) mod samples;
pub mod snapshot;
mod timing;
mod usage;

use core::cell::{Cell, OnceCell};
use core::num::NonZeroU32;

use allocator_api2::alloc::Allocator;
use allocator_api2::boxed::Box;
use samples::SampleBuffer;
pub use snapshot::Snapshot;
pub use timing::Timing;
pub use usage::{Leak, Usage};

use crate::fault::Fault;
use crate::name::{Name, Version};
use crate::policy::Domain;
use crate::policy::budget::Budget;

/// The statistics of one module. Cycles are as measured; the corrected figures are less the cost of measuring.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ModuleProfile {
    /// The name of the module.
    pub name: Name,
    /// The version of the module.
    pub version: Version,
    /// The number of times this name has been loaded, this load included.
    pub generation: u32,
    /// Whether the module is the active version of its name.
    pub active: bool,
    /// Whether it was replaced, and is freed once its last calls have ended.
    pub retired: bool,
    /// The domain that it runs in: [`Domain::Sandbox`] only where that is the embedder's own privileges.
    pub domain: Domain,
    /// The budget of its calls.
    pub budget: Budget,
    /// The services that it declares: `SERVICE_*` bits.
    pub services: u32,
    /// The memory that it has been given.
    pub memory: Usage,
    /// The address of its text.
    pub code_address: u64,
    /// The address of its entry.
    pub entry_address: u64,
    /// The x86-64 level of the code that was placed: the blob's own, or a variant's.
    pub cpu_level: u8,
    /// The size of its text, in bytes.
    pub code_size: u64,
    /// The size of its blob, in bytes.
    pub blob_size: u64,
    /// The number of calls of its `run` so far; its functions have profiles of their own.
    pub call_count: u64,
    /// The number of calls that were timed and returned.
    pub timed_calls: u64,
    /// The number of calls of which one is timed now.
    pub sample_every: NonZeroU32,
    /// The cycles of all timed calls.
    pub total_cycles: u64,
    /// The statistics over all timed calls; `None` before the first.
    pub cycles: Option<CycleStatistics>,
    /// The result of the last call; `None` before the first.
    pub last_result: Option<i32>,
    /// Whether a fault has stopped it.
    pub stopped: bool,
    /// The last fault.
    pub fault: Option<Fault>,
    /// The number of faults so far, those of its functions included.
    pub faults: u32,
    /// The number of restarts after a fault.
    pub restarts: u32,
}

/// Statistics over all calls of a module, in cycles.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CycleStatistics {
    /// The shortest call.
    pub min: u64,
    /// The longest call.
    pub max: u64,
    /// The mean.
    pub mean: f64,
    /// The standard deviation.
    pub standard_deviation: f64,
    /// The median, within 1/32.
    pub p50: u64,
    /// The value that 99 of 100 calls do not exceed, within 1/32.
    pub p99: u64,
    /// The same figures less the cost of measuring.
    pub corrected: CorrectedStatistics,
}

/// Figures less the cost of measuring, never below 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CorrectedStatistics {
    /// The shortest call.
    pub min: u64,
    /// The mean.
    pub mean: f64,
    /// The median.
    pub p50: u64,
    /// The value that 99 of 100 calls do not exceed.
    pub p99: u64,
}

/// A module's readings; memory for them is allocated at the first call.
#[derive(Debug)]
pub(crate) struct ProfileBuffer<A: Allocator>(OnceCell<Box<SampleBuffer, A>>);

impl<A: Allocator> ProfileBuffer<A> {
    pub const fn new() -> ProfileBuffer<A> {
        ProfileBuffer(OnceCell::new())
    }

    /// Returns the readings; `None` before the first call.
    #[inline(always)]
    pub fn get(&self) -> Option<&SampleBuffer> {
        self.0.get().map(|samples| &**samples)
    }

    /// Returns the readings, allocating memory for them if necessary; `None` if there is none.
    #[inline]
    pub fn samples(&self, spare_buffer: &SpareBuffer<A>, allocator: impl FnOnce() -> A) -> Option<&SampleBuffer> {
        match self.0.get() {
            Some(samples) => Some(samples),
            None => match spare_buffer.take() {
                Some(samples) => Some(self.0.get_or_init(|| samples)),
                None => self.first(allocator()),
            },
        }
    }

    #[cold]
    #[inline(never)]
    fn first(&self, allocator: A) -> Option<&SampleBuffer> {
        let samples = Box::try_new_in(SampleBuffer::new(), allocator).ok()?;
        Some(self.0.get_or_init(|| samples))
    }

    /// Leaves the memory, if there is any, to the next module.
    #[inline]
    pub fn recycle(self, spare_buffer: &SpareBuffer<A>) {
        if let Some(samples) = self.0.into_inner() {
            spare_buffer.put(samples);
        }
    }

    /// Returns the number of calls that returned.
    pub fn count(&self) -> u64 {
        self.0.get().map_or(0, |samples| samples.count())
    }

    /// Returns the bytes of the loader's tables that the readings use.
    pub fn table_bytes(&self) -> u64 {
        if self.0.get().is_some() { size_of::<SampleBuffer>() as u64 } else { 0 }
    }

    /// Returns a snapshot of all readings of a module with `call_count` calls; `None` before the first.
    pub fn snapshot(&self, call_count: u64) -> Option<Snapshot> {
        self.0.get().map(|samples| Snapshot::of(samples, call_count))
    }
}

/// The unused memory for one module's readings, kept for the next module.
pub(crate) struct SpareBuffer<A: Allocator>(Cell<Option<Box<SampleBuffer, A>>>);

impl<A: Allocator> SpareBuffer<A> {
    pub const fn new() -> SpareBuffer<A> {
        SpareBuffer(Cell::new(None))
    }

    /// Returns the bytes of the loader's tables that the spare memory uses.
    pub fn table_bytes(&self) -> u64 {
        let samples = self.0.take();
        let bytes = if samples.is_some() { size_of::<SampleBuffer>() } else { 0 };
        self.0.set(samples);
        bytes as u64
    }

    fn take(&self) -> Option<Box<SampleBuffer, A>> {
        self.0.take()
    }

    #[inline]
    fn put(&self, mut samples: Box<SampleBuffer, A>) {
        samples.clear();
        self.0.set(Some(samples));
    }
}
