//! The readings of one module's calls.
//!
//! A call only appends its reading to a short buffer. The totals and the histogram are updated when the buffer is full
//! or when they are asked for.

use core::cell::Cell;

use super::histogram::{BUCKETS, bucket};

/// The capacity of the buffer: as many readings as a `u8` can count.
const BUFFERED: usize = 256;

/// All readings so far, flushed or not.
#[derive(Debug)]
pub(crate) struct SampleBuffer {
    /// The number of buffered readings; less than the capacity.
    length: Cell<u8>,
    totals: Cell<Totals>,
    /// Signed, since processors of the base level can compare only vectors of signed numbers.
    buffer: [Cell<i32>; BUFFERED],
    /// A bucket that holds [`u32::MAX`] readings counts no further ones, while the totals do: half the memory of a `u64`.
    histogram: [Cell<u32>; BUCKETS],
}

/// Sums over all flushed readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Totals {
    pub count: u64,
    pub sum: u64,
    pub squares: u128,
    pub min: u64,
    pub max: u64,
}

impl SampleBuffer {
    /// Creates an empty buffer.
    pub const fn new() -> SampleBuffer {
        SampleBuffer {
            length: Cell::new(0),
            totals: Cell::new(Totals::NONE),
            buffer: [const { Cell::new(0) }; BUFFERED],
            histogram: [const { Cell::new(0) }; BUCKETS],
        }
    }

    /// Removes all readings.
    pub fn clear(&mut self) {
        // If nothing was flushed, the histogram is still empty.
        if self.totals.get().count > 0 {
            self.totals.set(Totals::NONE);
            self.histogram.fill(Cell::new(0));
        }
        self.length.set(0);
    }

    /// Returns whether the buffer is empty: before the first reading, or right after a flush.
    #[inline]
    pub const fn is_flushed(&self) -> bool {
        self.length.get() == 0
    }

    /// Adds one reading, in cycles.
    #[inline]
    pub fn push(&self, cycles: u64) {
        // A reading of 2^31 cycles or more does not fit the buffer.
        let Ok(reading) = i32::try_from(cycles) else { return self.take(cycles, 1) };
        let length = self.length.get();
        if let Some(target) = self.buffer.get(usize::from(length)) {
            target.set(reading);
        }
        match length.checked_add(1) {
            Some(longer) => self.length.set(longer),
            None => self.flush(BUFFERED),
        }
    }

    /// Takes cycles off the last reading that was added, unless that was added to the totals already.
    #[cfg(feature = "events")]
    pub fn correct_last(&self, cycles: u64) {
        let last = usize::from(self.length.get()).checked_sub(1).and_then(|last| self.buffer.get(last));
        if let Some(last) = last {
            last.set(last.get().saturating_sub_unsigned(u32::try_from(cycles).unwrap_or(u32::MAX)).max(0));
        }
    }

    /// Returns the number of readings so far.
    pub const fn count(&self) -> u64 {
        self.totals.get().count + self.length.get() as u64
    }

    /// Flushes the buffer, and returns the sums over all readings.
    pub fn totals(&self) -> Totals {
        self.flush(self.length.get().into());
        self.totals.get()
    }

    /// Returns the number of readings in each bucket, without those that are not flushed yet.
    pub fn histogram(&self) -> [u32; BUCKETS] {
        let mut counts = [0; BUCKETS];
        for (copy, count) in counts.iter_mut().zip(&self.histogram) {
            *copy = count.get();
        }
        counts
    }

    /// Moves the buffered readings to the totals and the histogram.
    ///
    /// The readings of short calls mostly have the same few values, since the clock advances in steps. These values are
    /// counted in ascending order, and the remaining readings are taken one by one. No branch depends on a single
    /// reading: such branches would be mispredicted now and then, which costs more than the whole flush.
    #[cold]
    #[inline(never)]
    fn flush(&self, length: usize) {
        self.length.set(0);
        let readings = self.buffer.get(..length).unwrap_or_default();
        // All readings are greater than the first value, -1.
        let (mut left, mut value, mut next) = (length, -1, -1);
        for _ in 0..=COUNTED_TOGETHER {
            value = next;
            let mut count = 0_i32;
            next = i32::MAX;
            for reading in readings.iter().map(Cell::get) {
                count += i32::from(reading == value);
                let candidate = if reading > value { reading } else { i32::MAX };
                next = next.min(candidate);
            }
            self.take(u64::from(value.cast_unsigned()), count as usize);
            left -= count as usize;
            if left <= FEW {
                break;
            }
        }
        if left > 0 {
            for reading in readings.iter().map(Cell::get).filter(|&reading| reading > value) {
                self.take(u64::from(reading.cast_unsigned()), 1);
            }
        }
    }

    /// Adds `count` readings of the same value.
    #[cold]
    #[inline(never)]
    fn take(&self, cycles: u64, count: usize) {
        if count == 0 {
            return;
        }
        let mut totals = self.totals.get();
        let times = count as u64;
        totals.count += times;
        let all = cycles.saturating_mul(times);
        totals.sum = totals.sum.saturating_add(all);
        let squares = u128::from(all) * u128::from(cycles);
        totals.squares = totals.squares.saturating_add(squares);
        totals.min = totals.min.min(cycles);
        totals.max = totals.max.max(cycles);
        self.totals.set(totals);
        if let Some(target) = self.histogram.get(bucket(cycles)) {
            target.set(target.get().saturating_add(count as u32));
        }
    }
}

/// The number of different values that are counted together in a flush.
const COUNTED_TOGETHER: usize = 8;

/// The number of readings below which they are taken one by one.
const FEW: usize = 4;

impl Totals {
    pub const NONE: Totals = Totals { count: 0, sum: 0, squares: 0, min: u64::MAX, max: 0 };

    /// Adds the sums of other readings.
    pub fn add(&mut self, other: &Totals) {
        self.count = self.count.saturating_add(other.count);
        self.sum = self.sum.saturating_add(other.sum);
        self.squares = self.squares.saturating_add(other.squares);
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    /// Returns the standard deviation of the readings, in cycles (of the whole population: divided by n).
    pub fn standard_deviation(&self) -> f64 {
        let count = u128::from(self.count.max(1));
        let sum = u128::from(self.sum);
        // n times the sum of squares, less the square of the sum, is n^2 times the variance. The integers are exact.
        let exact = self.squares.checked_mul(count).zip(sum.checked_mul(sum));
        let (scaled, count) = match exact {
            Some((left, right)) => (left.saturating_sub(right), count),
            None => ((self.squares / count).saturating_sub((sum / count).pow(2)), 1),
        };
        // In hundredths, unless that overflows.
        let (scaled, parts) = scaled.checked_mul(10_000).map_or((scaled, 1.0), |scaled| (scaled, 100.0));
        scaled.isqrt() as f64 / count as f64 / parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Snapshot;
    use proptest::prelude::*;

    fn percentile(samples: &SampleBuffer, per_cent: u8) -> u64 {
        let statistics = Snapshot::of(samples, 0).statistics(0).unwrap();
        if per_cent == 50 { statistics.p50 } else { statistics.p99 }
    }

    fn samples(readings: impl IntoIterator<Item = u64>) -> SampleBuffer {
        let samples = SampleBuffer::new();
        readings.into_iter().for_each(|reading| samples.push(reading));
        samples
    }

    #[test]
    fn sums_across_several_flushes() {
        let totals = samples(1..=1000).totals();
        assert_eq!(totals, Totals { count: 1000, sum: 500_500, squares: 333_833_500, min: 1, max: 1000 });
        assert!((totals.standard_deviation() - 288.67).abs() < 0.01);
    }

    #[test]
    fn equal_readings_do_not_deviate() {
        let samples = samples([26; 300]);
        assert_eq!(samples.totals().standard_deviation(), 0.0);
        assert_eq!((percentile(&samples, 50), percentile(&samples, 99)), (26, 26));
    }

    #[test]
    fn forgets_all() {
        for readings in [1..2, 1..300] {
            let mut samples = samples(readings);
            samples.clear();
            [7, 7].into_iter().for_each(|reading| samples.push(reading));
            assert_eq!((samples.totals().count, percentile(&samples, 50), percentile(&samples, 99)), (2, 7, 7));
        }
    }

    proptest! {
        #[test]
        fn percentiles_are_within_a_32nd(mut readings in prop::collection::vec(0..1_000_000_u64, 1..600)) {
            let samples = samples(readings.iter().copied());
            readings.sort_unstable();
            for per_cent in [50, 99] {
                let exact = readings[(readings.len() * per_cent).div_ceil(100).max(1) - 1];
                let shown = percentile(&samples, per_cent as u8);
                prop_assert!(shown.abs_diff(exact) <= exact / 32, "{shown} for {exact}");
            }
        }

        #[test]
        fn nothing_overflows(readings in prop::collection::vec(any::<u64>(), 1..600)) {
            let samples = samples(readings);
            prop_assert!(samples.totals().standard_deviation() >= 0.0);
        }
    }
}
