//! Restarts the modules that it is told to keep, whenever a fault has stopped them: a task.
//!
//! `--set keeper.keep=net,disk` names them. Each must be loaded so that its blob is kept, by `--on-fault restart:0`; a
//! policy that restarts by itself is left to do so. A module that can't be restarted is logged, and tried again.

#![no_std]
#![forbid(unsafe_code)]

use bareflow_abi::Context;
use bareflow_abi::parameters::Text;
use bareflow_events::Events;
use bareflow_supervision::{Counts, State, Supervision};
use embassy_futures::select::{Either, select};

bareflow_abi::parameters! {
    /// The settings of a load.
    pub struct Settings {
        /// The names of the modules to keep, separated by commas.
        pub keep: Text<120> = Text::new(""),
        /// The time between two looks at them, in milliseconds.
        #[range(1..=3_600_000)]
        pub interval_ms: u32 = 100,
    }
}

bareflow_abi::state! {
    /// The counts, which outlive a reload.
    pub struct Kept {
        /// The number of restarts.
        pub restarts: u32 = 0,
        /// The number of restarts that failed.
        pub failures: u32 = 0,
    }
}

bareflow_abi::module!(
    parameters = Settings,
    state = Kept,
    imports = { events: Events, supervision: Supervision },
    exports = [restarts, failures],
    task = keep
);

/// The task.
async fn keep(cx: TaskContext) {
    let Settings { keep, interval_ms } = Settings::get();
    let mut look = cx.every(u64::from(interval_ms) * 1000);
    while let Either::First(_) = select(look.next(), cx.stopped()).await {
        keep.as_str().split(',').map(str::trim).filter(|name| !name.is_empty()).for_each(|name| restart(cx, name));
    }
}

/// Restarts a module if a fault has stopped it, and counts.
fn restart(cx: TaskContext, name: &str) {
    let restarted = cx.with(|context, mut with| {
        let state = with.supervision.status(name, &mut Counts::default());
        if state != Ok(State::Stopped) {
            return None;
        }
        let restarted = with.supervision.restart(name).is_ok();
        if !restarted {
            context.log(name);
        }
        Some(restarted)
    });
    cx.state(|kept| match restarted {
        Some(true) => kept.restarts = kept.restarts.wrapping_add(1),
        Some(false) => kept.failures = kept.failures.wrapping_add(1),
        None => {}
    });
}

/// Returns the number of restarts.
pub fn restarts(_: &mut Context<'_>, kept: &mut Kept) -> i32 {
    i32::try_from(kept.restarts).unwrap_or(i32::MAX)
}

/// Returns the number of restarts that failed.
pub fn failures(_: &mut Context<'_>, kept: &mut Kept) -> i32 {
    i32::try_from(kept.failures).unwrap_or(i32::MAX)
}
