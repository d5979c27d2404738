//! What a processor counts besides time, where it does and lets us read it.

/// Events so far, or in some time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Cycles of the core, which clocks up and down.
    pub core_cycles: u64,
    /// Instructions that were carried out.
    pub instructions: u64,
    /// Branches that were guessed wrong.
    pub branch_misses: u64,
    /// Accesses that the last level of the cache did not have.
    pub cache_misses: u64,
}

impl Counters {
    /// Those of so many calls, in hundredths of one call's, less what as many calls of a module take that does nothing.
    pub(crate) fn of_one(self, nothing: Counters, calls: u32) -> Counters {
        self.with(nothing, |all, nothing| all.saturating_sub(nothing).saturating_mul(100) / u64::from(calls.max(1)))
    }

    /// Those since `before`.
    pub(crate) fn since(self, before: Counters) -> Counters {
        self.with(before, u64::wrapping_sub)
    }

    /// What `of` makes of each, and the same of the others.
    fn with(self, other: Counters, of: impl Fn(u64, u64) -> u64) -> Counters {
        Counters {
            core_cycles: of(self.core_cycles, other.core_cycles),
            instructions: of(self.instructions, other.instructions),
            branch_misses: of(self.branch_misses, other.branch_misses),
            cache_misses: of(self.cache_misses, other.cache_misses),
        }
    }
}
