//! Measures events: the cost of one, and how many timers are kept up with. A tick is an instruction, by `--icount`.

use alloc::format;
use alloc::vec::Vec;

use bareflow_abi::header::{HEADER_SIZE, Header, NAME_SIZE, checksum_of};
use bareflow_containment::timer;
use bareflow_loader::{FunctionId, LoadOptions, ModuleId, Platform};
use bareflow_suite::archive::Archive;
use bareflow_suite::line;
use x86_64::instructions::hlt;

use crate::console::KernelConsole;
use crate::containment::Manager;

/// The number of measurements of which the least counts.
const TIMES: u32 = 33;

/// The number of modules in a crowd.
const CROWD: u32 = 1000;

/// The time for which a crowd is watched, in microseconds.
const WATCHED_US: u64 = 1_000_000;

/// The time since the start by which a crowd has caught up, or never does, in microseconds.
const SETTLED_US: u64 = 5_000_000;

/// The most handlers that are called at once.
const AT_ONCE: usize = 64;

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
    let console = &KernelConsole;
    line!(console, Plain, "timer event {due}");
    line!(console, Plain, "nothing due {nothing_due}");
    line!(console, Plain, "task poll {polled}");
    [due, nothing_due, polled].iter().all(|&figure| figure != u64::MAX)
}

/// Runs the events of a thousand copies of the first module for a second, each with a timer of this interval, and says how
/// many were late. Returns whether all went well.
pub fn crowd(manager: &Manager, archive: &Archive<'_>, load: &LoadOptions, interval_ms: u32) -> bool {
    let Some(source) = archive.blobs.first() else { return false };
    let mut ids = Vec::new();
    for number in 0..CROWD {
        let name = format!("m{number}");
        let set = format!("{name}.interval_ms={interval_ms}");
        match manager.load_with(&renamed(source.bytes, &name), load.with_parameters(&&*set)) {
            Ok(id) => ids.push(id),
            Err(error) => {
                line!(&KernelConsole, Error, "[ERROR] {name}: {error}");
                return false;
            }
        }
    }
    // What became due while the others were loaded.
    while manager.run_events(AT_ONCE).has_more && timer::microseconds() < SETTLED_US {}
    let before = counts(manager, &ids);
    let start = timer::microseconds();
    while timer::microseconds() - start < WATCHED_US {
        if !manager.run_events(AT_ONCE).has_more && !manager.has_due_events() {
            hlt();
        }
    }
    let all = counts(manager, &ids);
    let [handled, missed, late] = core::array::from_fn(|index| all[index] - before[index]);
    line!(&KernelConsole, Plain, "handled {handled}, missed {missed}, late {late}");
    handled > 0
}

/// Returns the numbers of events that were handled, missed and late.
fn counts(manager: &Manager, ids: &[ModuleId]) -> [u64; 3] {
    ids.iter().filter_map(|&id| manager.event_counts(id)).fold([0; 3], |[handled, missed, late], counts| {
        [handled + counts.handled, missed + counts.missed, late + counts.late]
    })
}

/// Returns a copy of a blob with another name.
fn renamed(blob: &[u8], name: &str) -> Vec<u8> {
    let mut copy = blob.to_vec();
    if let Some(start) = copy.first_chunk_mut::<HEADER_SIZE>() {
        let mut header = Header::from_bytes(start);
        header.name = [0; NAME_SIZE];
        header.name.iter_mut().zip(name.bytes()).for_each(|(target, byte)| *target = byte);
        *start = header.to_bytes();
    }
    let checksum = checksum_of(&copy).unwrap_or_default();
    if let Some(target) = copy.get_mut(HEADER_SIZE - 4..HEADER_SIZE) {
        target.copy_from_slice(&checksum.to_le_bytes());
    }
    copy
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
