//! Snapshots: readings that can leave the thread they were taken on.
//!
//! Statistics belong to one thread, or one processor. Each has a manager of its own, so that calls need neither locks
//! nor atomic instructions. Merged snapshots give the totals.

use super::histogram::{BUCKETS, lower_bound};
use super::samples::{SampleBuffer, Totals};
use super::{CorrectedStatistics, CycleStatistics};

/// All readings of one module so far, or of several instances of it.
///
/// ```
/// use bareflow_loader::Snapshot;
/// use bareflow_loader::CycleStatistics;
///
/// /// What calls took on all threads, each of which has sent `manager.snapshot(id)`.
/// fn figures(of_threads: impl Iterator<Item = Snapshot>, overhead: u64) -> Option<CycleStatistics> {
///     let mut all = Snapshot::new();
///     of_threads.for_each(|snapshot| all.merge(&snapshot));
///     all.statistics(overhead)
/// }
/// assert_eq!(figures([Snapshot::new()].into_iter(), 26), None);
/// ```
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The number of calls, timed or not.
    pub call_count: u64,
    totals: Totals,
    /// As in [`SampleBuffer`], a full bucket counts no further readings.
    histogram: [u32; BUCKETS],
}

impl Snapshot {
    /// Creates a snapshot without readings.
    #[must_use]
    pub const fn new() -> Snapshot {
        Snapshot { call_count: 0, totals: Totals::NONE, histogram: [0; BUCKETS] }
    }

    pub(crate) fn of(samples: &SampleBuffer, call_count: u64) -> Snapshot {
        let totals = samples.totals();
        Snapshot { call_count, totals, histogram: samples.histogram() }
    }

    /// Adds the readings of `other`.
    pub fn merge(&mut self, other: &Snapshot) {
        self.call_count = self.call_count.saturating_add(other.call_count);
        self.totals.add(&other.totals);
        for (count, more) in self.histogram.iter_mut().zip(&other.histogram) {
            *count = count.saturating_add(*more);
        }
    }

    /// Returns the number of calls that were timed.
    #[must_use]
    pub const fn timed_calls(&self) -> u64 {
        self.totals.count
    }

    /// Returns the cycles of all timed calls.
    #[must_use]
    pub const fn total_cycles(&self) -> u64 {
        self.totals.sum
    }

    /// Returns the statistics over all timed calls, corrected by `overhead_cycles`; `None` if there are none.
    #[must_use]
    pub fn statistics(&self, overhead_cycles: u64) -> Option<CycleStatistics> {
        let totals = &self.totals;
        if totals.count == 0 {
            return None;
        }
        let mean = totals.sum as f64 / totals.count as f64;
        let [p50, p99] = [50, 99].map(|per_cent| self.percentile(per_cent));
        let corrected = CorrectedStatistics {
            min: totals.min.saturating_sub(overhead_cycles),
            mean: (mean - overhead_cycles as f64).max(0.0),
            p50: p50.saturating_sub(overhead_cycles),
            p99: p99.saturating_sub(overhead_cycles),
        };
        let (min, max, standard_deviation) = (totals.min, totals.max, totals.standard_deviation());
        Some(CycleStatistics { min, max, mean, standard_deviation, p50, p99, corrected })
    }

    /// Returns the value that `per_cent` of the readings do not exceed, within 1/32.
    ///
    /// Readings that found their bucket full are left out, so the percentiles lean towards other values from then on.
    #[inline(never)]
    fn percentile(&self, per_cent: u64) -> u64 {
        let totals = &self.totals;
        // Not the totals' count, which can be greater than the sum of all buckets if one of them is full.
        let counted: u64 = self.histogram.iter().copied().map(u64::from).sum();
        // The rank of the reading, counted from 1 (nearest-rank method).
        let rank = counted / 100 * per_cent + (counted % 100 * per_cent).div_ceil(100);
        let mut seen: u64 = 0;
        for (index, count) in self.histogram.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= rank {
                return lower_bound(index).max(totals.min).min(totals.max);
            }
        }
        totals.max
    }
}

impl Default for Snapshot {
    fn default() -> Snapshot {
        Snapshot::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Timing;
    use crate::testing::{FakePlatform, blob, manager};
    use core::num::NonZeroU32;
    use std::sync::mpsc;
    use std::thread;
    use std::vec::Vec;

    /// The number of calls that each thread makes. Miri takes long for each.
    const CALLS: u64 = if cfg!(miri) { 300 } else { 20_000 };

    /// The number of threads, and of snapshots that each one sends while it runs.
    const THREADS: u64 = 4;
    const SNAPSHOTS: u64 = 10;

    #[test]
    fn a_full_bucket_does_not_make_the_longest_call_the_median() {
        let [often, once] = [26, 5000].map(|cycles| {
            let samples = SampleBuffer::new();
            samples.push(cycles);
            Snapshot::of(&samples, 1)
        });
        let mut all = often;
        for _ in 0..34 {
            all.merge(&all.clone());
        }
        all.merge(&once);
        assert_eq!(all.timed_calls(), (1 << 34) + 1);
        let statistics = all.statistics(0).unwrap();
        assert_eq!((statistics.p50, statistics.p99, statistics.max), (26, 26, 5000));
    }

    #[test]
    fn threads_that_call_at_once_lose_no_reading() {
        let (sender, receiver) = mpsc::channel();
        for number in 1..=THREADS {
            let sender = sender.clone();
            thread::spawn(move || {
                let platform = FakePlatform::default();
                let manager = manager(&platform, Timing::Fast);
                let id = manager.load(&blob::small("shared")).unwrap();
                manager.sample(id, NonZeroU32::new(number as u32).unwrap());
                for call in 1..=CALLS {
                    manager.execute(id).unwrap();
                    if call % (CALLS / SNAPSHOTS) == 0 {
                        sender.send((number as usize, call, manager.snapshot(id).unwrap())).unwrap();
                    }
                }
            });
        }
        drop(sender);
        let mut last: Vec<Option<Snapshot>> = std::vec![None; THREADS as usize + 1];
        for (number, calls, snapshot) in receiver {
            assert_eq!(snapshot.call_count, calls);
            last[number] = Some(snapshot);
        }
        let mut all = Snapshot::new();
        last.into_iter().flatten().for_each(|snapshot| all.merge(&snapshot));
        let timed = (1..=THREADS).map(|number| CALLS.div_ceil(number)).sum::<u64>();
        assert_eq!((all.call_count, all.timed_calls()), (THREADS * CALLS, timed));
        // On this platform every call takes ten cycles.
        assert_eq!(all.total_cycles(), 10 * timed);
        let statistics = all.statistics(3).unwrap();
        assert_eq!((statistics.min, statistics.p50, statistics.p99, statistics.max), (10, 10, 10, 10));
        assert_eq!((statistics.standard_deviation, statistics.corrected.p50), (0.0, 7));
    }

    #[test]
    fn nothing_has_no_statistics() {
        let platform = FakePlatform::default();
        let manager = manager(&platform, Timing::Fast);
        let id = manager.load(&blob::small("idle")).unwrap();
        assert!(manager.snapshot(id).is_none_or(|snapshot| snapshot.statistics(0).is_none()));
        manager.unload(id).unwrap();
        assert!(manager.snapshot(id).is_none());
    }
}
