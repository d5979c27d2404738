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
        let hundredths =
            |all: u64, nothing: u64| all.saturating_sub(nothing).saturating_mul(100) / u64::from(calls.max(1));
        Counters {
            core_cycles: hundredths(self.core_cycles, nothing.core_cycles),
            instructions: hundredths(self.instructions, nothing.instructions),
            branch_misses: hundredths(self.branch_misses, nothing.branch_misses),
            cache_misses: hundredths(self.cache_misses, nothing.cache_misses),
        }
    }

    /// Those since `before`.
    pub(crate) fn since(self, before: Counters) -> Counters {
        Counters {
            core_cycles: self.core_cycles.wrapping_sub(before.core_cycles),
            instructions: self.instructions.wrapping_sub(before.instructions),
            branch_misses: self.branch_misses.wrapping_sub(before.branch_misses),
            cache_misses: self.cache_misses.wrapping_sub(before.cache_misses),
        }
    }
}
