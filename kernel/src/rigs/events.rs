//! Measures what an event costs. A tick of the clock is an instruction, by `--icount`.

use alloc::vec::Vec;

use bareflow_loader::{FunctionId, LoadOptions, ModuleId, Platform};
use bareflow_suite::archive::Archive;
use bareflow_suite::line;
use x86_64::instructions::hlt;

use crate::console::KernelConsole;
use crate::containment::Manager;

/// The number of measurements of which the least counts.
const TIMES: u32 = 33;

/// The number of readings of the clock in a row, which takes many ticks.
const READINGS: u32 = 10_000_000;

/// The most handlers that are called at once.
pub(super) const AT_ONCE: usize = 64;

/// Measures an event of the first module, which has a timer, and a poll of the second, a task with nothing to do.
/// Returns whether all went well.
pub fn run(manager: &Manager, archive: &Archive<'_>, load: &LoadOptions) -> bool {
    let ids = load_all(manager, archive, load);
    let Some(&[_, task]) = ids.as_deref() else { return false };
    // What is due at the start.
    manager.run_events(AT_ONCE);
    let (mut due, mut nothing_due) = (u64::MAX, u64::MAX);
    for _ in 0..TIMES {
        while !manager.has_due_events() {
            hlt();
        }
        let (cycles, called) = measured(manager, || manager.run_events(1).called);
        if called == 1 {
            due = due.min(cycles);
        }
        let (cycles, called) = measured(manager, || manager.run_events(1).called);
        if called == 0 {
            nothing_due = nothing_due.min(cycles);
        }
    }
    let poll = FunctionId { module: task, number: 0, shape: None };
    let mut polled = u64::MAX;
    for _ in 0..TIMES {
        let (cycles, done) = measured(manager, || manager.execute_function(poll, &[0; 8], &mut [0; 8]));
        if done.is_ok() {
            polled = polled.min(cycles);
        }
    }
    let tick = longest_pause(manager);
    let console = &KernelConsole;
    line!(console, Plain, "timer event {due}");
    line!(console, Plain, "nothing due {nothing_due}");
    line!(console, Plain, "task poll {polled}");
    line!(console, Plain, "tick {tick}");
    [due, nothing_due, polled].iter().all(|&figure| figure != u64::MAX)
}

/// Returns the longest time for which the processor left this code, while ticks alone interrupt it.
fn longest_pause(manager: &Manager) -> u64 {
    let (mut last, mut longest) = (manager.platform().clock(), 0);
    for _ in 0..READINGS {
        let now = manager.platform().clock();
        longest = longest.max(now - last);
        last = now;
    }
    longest
}

/// Returns what `work` takes, less the cost of measuring, and its result.
fn measured<T>(manager: &Manager, work: impl FnOnce() -> T) -> (u64, T) {
    let start = manager.platform().clock_fenced();
    let done = work();
    let cycles = manager.platform().clock_fenced().saturating_sub(start);
    (cycles.saturating_sub(manager.call_overhead_cycles()), done)
}

/// Loads all modules of the archive; `None` if one is refused.
fn load_all(manager: &Manager, archive: &Archive<'_>, load: &LoadOptions) -> Option<Vec<ModuleId>> {
    let loaded = archive.blobs.iter().map(|source| {
        let loaded = manager.load_with(source.bytes, load);
        if let Err(error) = &loaded {
            line!(&KernelConsole, Error, "[ERROR] {}: {error}", source.label);
        }
        loaded.ok()
    });
    loaded.collect()
}
