//! The kernel's clock, whose ticks become microseconds.

use bareflow_protocol::trace::TraceState;

/// The conversion of the kernel's ticks.
#[derive(Clone, Copy)]
pub(super) struct Clock {
    start: u64,
    pub ticks_per_microsecond: f64,
    /// Whether ticks are instructions.
    pub is_exact: bool,
}

impl Clock {
    /// Returns the clock of a trace. Its frequency is that over the whole trace, by the kernel's milliseconds.
    pub fn new(began: &TraceState, ended: &TraceState) -> Clock {
        let (ticks, milliseconds) =
            (ended.ticks.saturating_sub(began.ticks), ended.milliseconds.saturating_sub(began.milliseconds));
        let is_exact = began.clock == "icount";
        let measured = ticks as f64 / (milliseconds as f64 * 1000.0);
        // A trace shorter than a millisecond has no frequency.
        let ticks_per_microsecond = if !is_exact && measured.is_normal() { measured } else { 1000.0 };
        Clock { start: began.ticks, ticks_per_microsecond, is_exact }
    }

    /// Returns the microseconds since the start, to the nanosecond.
    pub fn microseconds(&self, ticks: u64) -> f64 {
        (ticks.saturating_sub(self.start) as f64 / self.ticks_per_microsecond * 1000.0).round() / 1000.0
    }
}
