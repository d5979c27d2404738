//! The processor's event counters, where there are any and they can be read.

/// Event counts, absolute or of a period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// The core's cycles, at its actual and varying frequency.
    pub core_cycles: u64,
    /// Retired instructions.
    pub instructions: u64,
    /// Mispredicted branches.
    pub branch_misses: u64,
    /// Misses in the last-level cache.
    pub cache_misses: u64,
}

impl Counters {
    /// Returns the counts per call, in hundredths, of `calls` calls with these counts.
    ///
    /// The counts of as many empty calls are subtracted.
    pub(crate) fn of_one(self, nothing: Counters, calls: u32) -> Counters {
        self.with(nothing, |all, nothing| all.saturating_sub(nothing).saturating_mul(100) / u64::from(calls.max(1)))
    }

    /// Returns the counts since `before`.
    pub(crate) fn since(self, before: Counters) -> Counters {
        self.with(before, u64::wrapping_sub)
    }

    /// Combines each counter with its counterpart in `other` by `of`.
    fn with(self, other: Counters, of: impl Fn(u64, u64) -> u64) -> Counters {
        Counters {
            core_cycles: of(self.core_cycles, other.core_cycles),
            instructions: of(self.instructions, other.instructions),
            branch_misses: of(self.branch_misses, other.branch_misses),
            cache_misses: of(self.cache_misses, other.cache_misses),
        }
    }
}
