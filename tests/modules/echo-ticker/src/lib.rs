//! Publishes a notification each ten milliseconds, and gets it itself.

#![no_std]
#![forbid(unsafe_code)]

use bareflow_abi::Context;
use bareflow_events::Events;

bareflow_abi::state! {
    /// The counts.
    pub struct Ticker {
        /// The number of ticks.
        pub ticks: u32 = 0,
        /// The number of notifications.
        pub echoes: u32 = 0,
        /// The number of ticks that are left until one panics; 0 for never.
        pub left: u32 = 0,
    }
}

bareflow_abi::module!(
    state = Ticker,
    imports = { events: Events },
    exports = [ticks, panic_at],
    timers = { on_tick: 10_000 },
    subscriptions = { on_echo: "echo-ticker.tick" },
    notifications = [tick],
    stop = on_stop
);

/// Counts a tick, and tells it. Returns the number of those who are told, or -1.
pub fn on_tick(_: &mut Context<'_>, ticker: &mut Ticker, mut with: Imports<'_>) -> i32 {
    ticker.ticks += 1;
    assert!(ticker.left != 1, "the last tick");
    ticker.left = ticker.left.saturating_sub(1);
    with.events.notify(Notification::TICK).map_or(-1, |count| count as i32)
}

/// Counts what it was told.
pub fn on_echo(_: &mut Context<'_>, ticker: &mut Ticker) -> i32 {
    ticker.echoes += 1;
    0
}

/// Says that it ends.
pub fn on_stop(context: &mut Context<'_>) -> i32 {
    context.log("no more ticks");
    0
}

/// Writes both counts.
pub fn ticks(context: &mut Context<'_>, ticker: &mut Ticker) -> i32 {
    for count in [ticker.ticks, ticker.echoes] {
        context.write(&count.to_le_bytes());
    }
    0
}

/// Lets a tick panic: the one whose number, from the next one on, is the first byte of the input.
pub fn panic_at(context: &mut Context<'_>, ticker: &mut Ticker) -> i32 {
    ticker.left = context.input().first().copied().unwrap_or_default().into();
    0
}

#[cfg(test)]
mod tests {
    use super::*;
    use bareflow_abi::Services;

    #[test]
    fn counts_though_nobody_is_told() {
        let (mut ticker, mut context) =
            (Ticker { ticks: 0, echoes: 0, left: 0 }, Context::new(&Services::NONE, b"", &mut []));
        let with = Imports::of(&context);
        assert_eq!((on_tick(&mut context, &mut ticker, with), ticker.ticks), (-1, 1));
    }
}
