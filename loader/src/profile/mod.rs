//! What calls cost: readings, statistics, and the cost of reading itself.

pub mod histogram;
pub(crate) mod sampler;
pub(crate) mod samples;
pub mod snapshot;

use core::cell::{Cell, OnceCell};
use core::num::NonZeroU32;

use allocator_api2::alloc::Allocator;
use allocator_api2::boxed::Box;
use samples::SampleBuffer;
pub use snapshot::Snapshot;

use crate::budget::Budget;
use crate::fault::Fault;
use crate::name::{Name, Version};
use crate::platform::{Platform, Usage};
use crate::policy::Domain;

/// How the clock is read around a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timing {
    /// Plainly: two clock reads and nothing more. A single reading may be a few
    /// instructions early or late, so only averages over many calls mean anything.
    Fast,
    /// With a fence before both stamps (Intel SDM volume 2, RDTSC): each reading covers the whole call, and
    /// nothing that came before it.
    Precise,
    /// Not at all: a call that its module's sampling leaves out, or one of a run with one clock for all.
    /// No option and no report names it.
    Untimed,
}

impl Timing {
    /// The name that reports and options use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Timing::Fast => "fast",
            Timing::Precise => "precise",
            Timing::Untimed => "untimed",
        }
    }

    /// The timing of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Timing> {
        [Timing::Fast, Timing::Precise].into_iter().find(|timing| timing.name() == name)
    }

    /// Does `work` between two readings of the platform's clock, and says how many cycles lie between them.
    #[inline(always)]
    pub fn measure<T>(self, platform: &impl Platform, work: impl FnOnce() -> T) -> (T, u64) {
        let start = self.now(platform);
        let done = work();
        let cycles = self.now(platform).saturating_sub(start);
        (done, cycles)
    }

    #[inline(always)]
    fn now(self, platform: &impl Platform) -> u64 {
        match self {
            Timing::Fast => platform.clock(),
            Timing::Precise => platform.clock_fenced(),
            Timing::Untimed => 0,
        }
    }
}

/// One module's statistics. Cycles are as measured; the corrected ones are less
/// the cost of measuring.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ModuleProfile {
    /// Name of the module.
    pub name: Name,
    /// Its version.
    pub version: Version,
    /// The how-manieth load of that name this is, counted from 1.
    pub generation: u32,
    /// Whether its name stands for it.
    pub active: bool,
    /// Whether it was replaced, and only waits for its last calls to end.
    pub retired: bool,
    /// Where its code runs.
    pub domain: Domain,
    /// What its calls may use up.
    pub budget: Budget,
    /// The services it declares: `SERVICE_*` bits.
    pub services: u32,
    /// Memory it has been given.
    pub memory: Usage,
    /// Address of its text.
    pub code_address: u64,
    /// Address of its entry.
    pub entry_address: u64,
    /// The x86-64 level its code was compiled for: that of the blob, or of the variant that was picked.
    pub cpu_level: u8,
    /// Bytes of its text.
    pub code_size: u64,
    /// Bytes of its blob.
    pub blob_size: u64,
    /// Calls so far.
    pub call_count: u64,
    /// Calls that were timed and returned.
    pub timed_calls: u64,
    /// One in so many calls is timed now.
    pub sample_every: NonZeroU32,
    /// Cycles of all calls that were timed.
    pub total_cycles: u64,
    /// Figures over all calls that were timed; `None` before the first.
    pub cycles: Option<CycleStatistics>,
    /// What the last call returned; `None` before the first.
    pub last_result: Option<i32>,
    /// Whether a fault stopped it.
    pub stopped: bool,
    /// The last fault.
    pub fault: Option<Fault>,
    /// Faults so far.
    pub faults: u32,
    /// How often it was restarted after one.
    pub restarts: u32,
}

/// Figures over all calls of a module, in cycles.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CycleStatistics {
    /// The cheapest call.
    pub min: u64,
    /// The dearest call.
    pub max: u64,
    /// The mean.
    pub mean: f64,
    /// The standard deviation.
    pub standard_deviation: f64,
    /// The median, within 1/32.
    pub p50: u64,
    /// What 99 of 100 calls do not exceed, within 1/32.
    pub p99: u64,
    /// The same, less the cost of measuring.
    pub corrected: CorrectedStatistics,
}

/// Figures less the cost of measuring, never below 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CorrectedStatistics {
    /// The cheapest call.
    pub min: u64,
    /// The mean.
    pub mean: f64,
    /// The median.
    pub p50: u64,
    /// What 99 of 100 calls do not exceed.
    pub p99: u64,
}

/// A module's readings, for which there is memory from the first call on.
#[derive(Debug)]
pub(crate) struct ProfileBuffer<A: Allocator>(OnceCell<Box<SampleBuffer, A>>);

impl<A: Allocator> ProfileBuffer<A> {
    pub const fn new() -> ProfileBuffer<A> {
        ProfileBuffer(OnceCell::new())
    }

    /// The readings, if there was a first call.
    #[inline(always)]
    pub fn get(&self) -> Option<&SampleBuffer> {
        self.0.get().map(|samples| &**samples)
    }

    /// The readings; `None` when there is no memory for them.
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

    /// Number of calls that returned.
    pub fn count(&self) -> u64 {
        self.0.get().map_or(0, |samples| samples.count())
    }

    /// Bytes of the loader's tables that the readings take.
    pub fn table_bytes(&self) -> u64 {
        if self.0.get().is_some() { size_of::<SampleBuffer>() as u64 } else { 0 }
    }

    /// All readings, of so many calls; `None` before the first.
    pub fn snapshot(&self, call_count: u64) -> Option<Snapshot> {
        self.0.get().map(|samples| Snapshot::of(samples, call_count))
    }
}

/// Memory for one module's readings that nobody uses now.
pub(crate) struct SpareBuffer<A: Allocator>(Cell<Option<Box<SampleBuffer, A>>>);

impl<A: Allocator> SpareBuffer<A> {
    pub const fn new() -> SpareBuffer<A> {
        SpareBuffer(Cell::new(None))
    }

    /// Bytes of the loader's tables that it takes.
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

/// Pairs of readings that [`calibrate`] takes.
const CALIBRATION_PAIRS: usize = 255;

/// The clock's step: a difference of two readings that is less is no difference. A quarter of all readings in a row
/// that differ are no further apart.
pub(crate) fn step(platform: &impl Platform) -> u64 {
    let mut distances = [0; CALIBRATION_PAIRS];
    let mut before = platform.clock();
    for distance in &mut distances {
        // A clock that stands still has no step.
        let mut readings = (0..CALIBRATION_PAIRS).map(|_| platform.clock());
        let now = readings.find(|&now| now != before).unwrap_or(before);
        *distance = now.saturating_sub(before);
        before = now;
    }
    distances.sort_unstable();
    distances[CALIBRATION_PAIRS / 4].max(1)
}

/// The cost of measuring: the median distance of two readings with nothing
/// between them. Not the least one: a clock that ticks in steps shows less than
/// it takes now and then.
pub(crate) fn calibrate(platform: &impl Platform, timing: Timing) -> u64 {
    let mut distances = [0; CALIBRATION_PAIRS];
    // The first round warms up; the second one counts.
    for _ in 0..2 {
        for distance in &mut distances {
            *distance = timing.measure(platform, || ()).1;
        }
    }
    distances.sort_unstable();
    distances[CALIBRATION_PAIRS / 2]
}
