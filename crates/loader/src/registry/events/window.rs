//! The window in which events and the call that they interrupt share the time.

/// The time over which events and the call that they interrupt get half each, in microseconds.
const WINDOW_US: u64 = 10_000;

/// The time that events took of the calls that they interrupted, since the beginning of a window.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Window {
    start_us: u64,
    start_cycles: u64,
    spent_cycles: u64,
}

impl Window {
    /// Returns whether events may take more time, and begins a new window if this one is over.
    pub fn may_run(&mut self, now_us: u64, now_cycles: u64) -> bool {
        if now_us.saturating_sub(self.start_us) >= WINDOW_US {
            *self = Window { start_us: now_us, start_cycles: now_cycles, spent_cycles: 0 };
        }
        self.spent_cycles <= now_cycles.saturating_sub(self.start_cycles) / 2
    }

    /// Counts the time that events took.
    pub const fn spend(&mut self, cycles: u64) {
        self.spent_cycles += cycles;
    }
}
