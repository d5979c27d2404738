//! Misuses events, as its parameter says, and runs for long.

#![no_std]
#![forbid(unsafe_code)]

use bareflow_abi::Context;
use bareflow_events::Events;

bareflow_abi::parameters! {
    /// The settings of a load.
    pub struct Settings {
        /// The misuse: 0 none, 1 a handler that loops, 2 one that panics, 3 one that publishes without end, 4 one that arms
        /// its timer for at once again and again, 5 one that waits for itself by what it publishes, 6 one that panics, of a
        /// module whose `init` takes longer than a handler may.
        pub misuse: u32 = 0,
    }
}

bareflow_abi::state! {
    /// The counts.
    pub struct Counts {
        /// The number of handlers that were called.
        pub handled: u32 = 0,
    }
}

bareflow_abi::module!(
    work,
    parameters = Settings,
    state = Counts,
    imports = { events: Events },
    exports = [handled],
    timers = { on_tick: 5_000, on_late: 0 },
    subscriptions = { on_own: "rogue.own" },
    notifications = [own],
    init = begin,
);

/// The steps of an `init` that takes longer than a handler may.
const LONG: u64 = 20_000_000;

/// Takes its time, if it is told so.
fn begin(_: &mut Context<'_>, _: &mut Counts) -> i32 {
    if Settings::get().misuse == 6 {
        count(LONG);
    }
    0
}

/// Counts as many steps, each of some instructions.
fn count(steps: u64) {
    for step in 0..steps {
        core::hint::black_box(step);
    }
}

/// Works for as many steps as the input says, each of some instructions.
pub fn work(context: &mut Context<'_>, _: &mut Counts, mut with: Imports<'_>) -> i32 {
    let steps = context.input().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    count(steps);
    // Timers that are not there, and times that never come.
    let wrong = [with.events.after(7, 1).is_err(), with.events.every(Event::ON_LATE, 0).is_err()];
    let never = [with.events.after(Event::ON_LATE, u64::MAX), with.events.every(Event::ON_LATE, u64::MAX)];
    i32::from(wrong == [true; 2] && never == [Ok(()); 2])
}

/// Misuses the timer.
pub fn on_tick(_: &mut Context<'_>, counts: &mut Counts, mut with: Imports<'_>) -> i32 {
    counts.handled = counts.handled.wrapping_add(1);
    match Settings::get().misuse {
        1 => loop {
            core::hint::spin_loop();
        },
        2 | 6 => panic!("as it was told"),
        3 => loop {
            let _ = with.events.notify(Notification::OWN);
        },
        4 => i32::from(with.events.after(Event::ON_LATE, 0).is_err()),
        5 => i32::from(with.events.notify(Notification::OWN).is_err()),
        _ => 0,
    }
}

/// Is due again at once.
pub fn on_late(_: &mut Context<'_>, counts: &mut Counts, mut with: Imports<'_>) -> i32 {
    counts.handled = counts.handled.wrapping_add(1);
    i32::from(with.events.after(Event::ON_LATE, 0).is_err())
}

/// Publishes what it handles.
pub fn on_own(_: &mut Context<'_>, counts: &mut Counts, mut with: Imports<'_>) -> i32 {
    counts.handled = counts.handled.wrapping_add(1);
    i32::from(with.events.notify(Notification::OWN).is_err())
}

/// Returns the number of handlers that were called.
pub fn handled(_: &mut Context<'_>, counts: &mut Counts) -> i32 {
    i32::try_from(counts.handled).unwrap_or(i32::MAX)
}
