//! Publishes the notification `tick` each time that its interval has passed, and counts.
//!
//! Others subscribe to it by `subscriptions = { on_tick: "ticker.tick" }`. The count outlives a reload, and so does the
//! timer: no tick is lost or early.

#![no_std]
#![forbid(unsafe_code)]

use bareflow_abi::Context;
use bareflow_events::Events;

bareflow_abi::parameters! {
    /// The settings of a load.
    pub struct Settings {
        /// The interval, in milliseconds.
        #[range(1..=86_400_000)]
        pub interval_ms: u32 = 100,
    }
}

bareflow_abi::state! {
    /// The count.
    pub struct Ticker {
        /// The number of ticks so far.
        pub ticks: u32 = 0,
    }
}

bareflow_abi::module!(
    parameters = Settings,
    state = Ticker,
    init = start,
    imports = { events: Events },
    exports = [ticks],
    timers = { on_tick: 0 },
    notifications = [tick]
);

/// Starts the timer.
pub fn start(_: &mut Context<'_>, _: &mut Ticker, mut with: Imports<'_>) -> i32 {
    let interval_us = u64::from(Settings::get().interval_ms) * 1000;
    with.events.every(Event::ON_TICK, interval_us).map_or(-1, |()| 0)
}

/// Counts a tick, and tells who wants to know.
pub fn on_tick(_: &mut Context<'_>, ticker: &mut Ticker, mut with: Imports<'_>) -> i32 {
    ticker.ticks = ticker.ticks.wrapping_add(1);
    with.events.notify(Notification::TICK).map_or(-1, |_| 0)
}

/// Returns the number of ticks so far.
pub fn ticks(_: &mut Context<'_>, ticker: &mut Ticker) -> i32 {
    i32::try_from(ticker.ticks).unwrap_or(i32::MAX)
}
