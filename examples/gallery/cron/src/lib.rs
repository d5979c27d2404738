//! Calls other modules at times: a task, by a table that is set when it is loaded.
//!
//! The table is a list of `module:milliseconds`, such as `sum:500,primes:60000`; each module is called whenever so many
//! milliseconds have passed, without input. What was missed is not made up for. The modules that it may call are those in
//! `depends` of `Cargo.toml`, which are loaded before it; add others there. One that faults is called again at its next
//! time, and logged.

#![no_std]
#![forbid(unsafe_code)]

use bareflow_abi::Context;
use bareflow_abi::parameters::Text;
use bareflow_events::Events;
use embassy_futures::select::{Either, select};

/// The most entries of a table.
const MOST: usize = 8;

bareflow_abi::parameters! {
    /// The settings of a load.
    pub struct Settings {
        /// The table: `module:milliseconds`, separated by commas.
        pub table: Text<120> = Text::new("sum:1000"),
    }
}

bareflow_abi::state! {
    /// The counts, which outlive a reload.
    pub struct Counts {
        /// The number of calls that returned.
        pub calls: u32 = 0,
        /// The number of those that did not.
        pub failures: u32 = 0,
    }
}

bareflow_abi::module!(
    parameters = Settings,
    state = Counts,
    init = check,
    imports = { events: Events },
    exports = [calls, failures],
    task = run
);

/// An entry of the table.
#[derive(Clone, Copy)]
struct Entry<'table> {
    module: &'table str,
    period_us: u64,
}

/// Iterates over the entries of a table; `None` for one that is none.
fn entries(table: &str) -> impl Iterator<Item = Option<Entry<'_>>> {
    table.split(',').map(|entry| {
        let (module, milliseconds) = entry.trim().split_once(':')?;
        let period_us = milliseconds.parse::<u32>().ok().filter(|&period| period > 0)?;
        Some(Entry { module, period_us: u64::from(period_us) * 1000 })
    })
}

/// Refuses a load with a table that is none.
pub fn check(context: &mut Context<'_>) -> i32 {
    let Settings { table } = Settings::get();
    if entries(table.as_str()).count() > MOST {
        context.log("table: more than 8 entries");
        return -1;
    }
    if entries(table.as_str()).any(|entry| entry.is_none()) {
        context.log("table: expected `module:milliseconds` with at least 1 ms, separated by commas");
        return -1;
    }
    0
}

/// The task.
async fn run(cx: TaskContext) {
    let Settings { table } = Settings::get();
    let start = cx.now();
    let mut due = [u64::MAX; MOST];
    for (due, entry) in due.iter_mut().zip(entries(table.as_str()).flatten()) {
        *due = start.saturating_add(entry.period_us);
    }
    loop {
        let next = due.iter().copied().min().unwrap_or(u64::MAX);
        if let Either::Second(()) = select(cx.sleep(next.saturating_sub(cx.now())), cx.stopped()).await {
            return;
        }
        let now = cx.now();
        for (due, entry) in due.iter_mut().zip(entries(table.as_str()).flatten()) {
            if *due <= now {
                let missed = (now - *due) / entry.period_us;
                *due = due.saturating_add((missed + 1).saturating_mul(entry.period_us));
                call(cx, entry.module);
            }
        }
    }
}

/// Calls a module, and counts.
fn call(cx: TaskContext, module: &str) {
    let called = cx.with(|context, _| {
        let called = context.call(module, &[], &mut []);
        if called.is_err() {
            context.log(module);
        }
        called.is_ok()
    });
    cx.state(|counts| match called {
        true => counts.calls = counts.calls.wrapping_add(1),
        false => counts.failures = counts.failures.wrapping_add(1),
    });
}

/// Returns the number of calls that returned.
pub fn calls(_: &mut Context<'_>, counts: &mut Counts) -> i32 {
    i32::try_from(counts.calls).unwrap_or(i32::MAX)
}

/// Returns the number of calls that did not return.
pub fn failures(_: &mut Context<'_>, counts: &mut Counts) -> i32 {
    i32::try_from(counts.failures).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_tables() {
        let read = |table: &'static str| -> std::vec::Vec<Option<(&str, u64)>> {
            entries(table).map(|entry| entry.map(|Entry { module, period_us }| (module, period_us))).collect()
        };
        assert_eq!(read("sum:1000, primes:7"), [Some(("sum", 1_000_000)), Some(("primes", 7000))]);
        assert_eq!(read("sum,a:0,b:-1,c:99999999999"), [None; 4]);
    }

    extern crate std;
}
