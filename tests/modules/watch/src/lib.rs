//! A task that watches the prices of `feed`, notes when none came for 20 ms, and counts a clock, until it is asked to end.

#![no_std]
#![forbid(unsafe_code)]

use bareflow_abi::{Context, module, state};
use bareflow_events::Events;
use embassy_futures::select::{Either, select, select3};

state! {
    /// The counts of what happened.
    pub struct Counts {
        /// The prices that were noticed.
        pub prices: u32 = 0,
        /// The times that no price came.
        pub silences: u32 = 0,
        /// The ticks of the clock.
        pub ticks: u32 = 0,
    }
}

module!(
    state = Counts,
    imports = { events: Events },
    exports = [counts],
    task = main,
    subscriptions = { price: "feed.price" },
);

async fn main(cx: TaskContext) -> i32 {
    let watch_prices = async {
        loop {
            match select(cx.notified(Event::PRICE), cx.sleep(20_000)).await {
                Either::First(()) => cx.state(|counts| counts.prices += 1),
                Either::Second(()) => cx.state(|counts| counts.silences += 1),
            }
        }
    };
    let count_ticks = async {
        let mut clock = cx.every(5_000);
        loop {
            let ticks = clock.next().await;
            cx.state(|counts| counts.ticks += ticks as u32);
        }
    };
    select3(cx.stopped(), watch_prices, count_ticks).await;
    cx.state(|counts| counts.ticks as i32)
}

/// Writes the counts.
fn counts(context: &mut Context<'_>, counts: &mut Counts) -> i32 {
    for count in [counts.prices, counts.silences, counts.ticks] {
        context.write(&count.to_le_bytes());
    }
    0
}
