//! Publishes a price each 2 ms, until it is asked to end. Each event has a function of its own.

#![no_std]
#![forbid(unsafe_code)]

use bareflow_abi::{Context, module, state};
use bareflow_events::Events;

state! {
    /// The counts of what happened.
    pub struct Counts {
        /// The prices that were published.
        pub prices: u32 = 0,
        /// The times that the price was not asked for within 10 ms.
        pub late: u32 = 0,
        /// Whether the module was asked to end.
        pub is_ending: bool = false,
    }
}

module!(
    state = Counts,
    imports = { events: Events },
    exports = [price],
    timers = { on_tick: 2_000, on_late: 0 },
    notifications = [price],
    stop = on_stop,
    watchdog = 1_000_000,
);

fn on_tick(_: &mut Context<'_>, counts: &mut Counts, mut with: Imports<'_>) -> i32 {
    counts.prices += u32::from(!counts.is_ending);
    let published = with.events.notify(Notification::PRICE);
    published.map_or(-1, |subscribers| subscribers as i32)
}

fn on_late(_: &mut Context<'_>, counts: &mut Counts) -> i32 {
    counts.late += 1;
    0
}

fn on_stop(_: &mut Context<'_>, counts: &mut Counts, mut with: Imports<'_>) -> i32 {
    counts.is_ending = true;
    i32::from(with.events.cancel(Event::ON_TICK).is_err())
}

/// Returns the price, and writes the counts.
fn price(context: &mut Context<'_>, counts: &mut Counts, mut with: Imports<'_>) -> i32 {
    context.write(&counts.prices.to_le_bytes());
    context.write(&counts.late.to_le_bytes());
    i32::from(with.events.after(Event::ON_LATE, 10_000).is_err())
}
