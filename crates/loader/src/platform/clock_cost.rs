//! Reading the platform's clock, and the cost of doing so.

use crate::platform::Platform;
use crate::profile::Timing;

/// The number of pairs of readings that a calibration takes.
const CALIBRATION_PAIRS: usize = 255;

impl Timing {
    /// Runs `work` between two readings of the platform's clock.
    ///
    /// Returns its result and the cycles between the readings.
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

    /// Returns the clock's resolution: smaller differences between two readings are not significant.
    ///
    /// It is the lower quartile of the distances between successive readings that differ.
    pub(crate) fn step_cycles(platform: &impl Platform) -> u64 {
        let mut distances = [0; CALIBRATION_PAIRS];
        let mut before = platform.clock();
        for distance in &mut distances {
            // A clock that does not advance has no step.
            let mut readings = (0..CALIBRATION_PAIRS).map(|_| platform.clock());
            let now = readings.find(|&now| now != before).unwrap_or(before);
            *distance = now.saturating_sub(before);
            before = now;
        }
        distances.sort_unstable();
        distances[CALIBRATION_PAIRS / 4].max(1)
    }

    /// Returns the cost of measuring: the median distance of two readings with nothing between them.
    ///
    /// The minimum would be too low: a clock that advances in steps sometimes shows less time than has passed.
    pub(crate) fn cost_cycles(self, platform: &impl Platform) -> u64 {
        let mut distances = [0; CALIBRATION_PAIRS];
        // The first round warms up; the second one counts.
        for _ in 0..2 {
            for distance in &mut distances {
                *distance = self.measure(platform, || ()).1;
            }
        }
        distances.sort_unstable();
        distances[CALIBRATION_PAIRS / 2]
    }
}
