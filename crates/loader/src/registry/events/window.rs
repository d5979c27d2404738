//! The time that events take of the calls that they interrupt.

use crate::module::ModuleId;
use crate::platform::MAX_DEPTH;

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

/// The time that events took of each running call, until it ends, in cycles. As many modules run as calls nest, and one
/// more is loaded meanwhile.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Interrupted([Option<(ModuleId, u64)>; MAX_DEPTH + 1]);

impl Interrupted {
    /// Adds time to that of a module's call. What there is no place for stays in its reading.
    pub fn add(&mut self, id: ModuleId, cycles: u64) {
        let place = self.0.iter().position(|entry| entry.is_some_and(|(other, _)| other == id));
        let place = place.or_else(|| self.0.iter().position(Option::is_none));
        if let Some(entry) = place.and_then(|place| self.0.get_mut(place)) {
            *entry = Some((id, entry.map_or(0, |(_, before)| before).saturating_add(cycles)));
        }
    }

    /// Takes the time of a module's call.
    pub fn take(&mut self, id: ModuleId) -> u64 {
        let entry = self.0.iter_mut().find(|entry| entry.is_some_and(|(other, _)| other == id));
        entry.and_then(Option::take).map_or(0, |(_, cycles)| cycles)
    }
}
