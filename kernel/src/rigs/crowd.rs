//! The number of timers that are kept up with, among many modules. A tick of the clock is an instruction, by `--icount`.

use alloc::format;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use bareflow_abi::header::{HEADER_SIZE, Header, NAME_SIZE, checksum_of};
use bareflow_containment::{TrapFrame, timer};
use bareflow_loader::{LoadOptions, ModuleId};
use bareflow_protocol::options::Crowd;
use bareflow_runtime::clock;
use bareflow_suite::archive::Archive;
use bareflow_suite::line;
use x86_64::instructions::hlt;

use super::events::AT_ONCE;
use crate::console::KernelConsole;
use crate::containment::{self, Manager, Rig};

/// The time for which a crowd is watched, in microseconds.
const WATCHED_US: u64 = 1_000_000;

/// The time since the start by which a crowd has caught up, or never does, in microseconds.
const SETTLED_US: u64 = 5_000_000;

/// The clock at the first tick and at the last one, the longest time between two, and how many came behind the first.
static FIRST: AtomicU64 = AtomicU64::new(0);
static LAST: AtomicU64 = AtomicU64::new(0);
static LONGEST: AtomicU64 = AtomicU64::new(0);
static TICKS: AtomicU64 = AtomicU64::new(0);

/// Runs the events of copies of the first module for a second, and says how many were late, and for how long interrupts
/// were off. Returns whether all went well.
pub fn run(manager: &Manager, archive: &Archive<'_>, load: &LoadOptions, crowd: Crowd) -> bool {
    let Some(source) = archive.blobs.first() else { return false };
    let mut ids = Vec::new();
    for number in 0..crowd.modules {
        let name = format!("m{number}");
        let set = format!("{name}.interval_ms={}", crowd.interval_ms);
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
    containment::install_rig(Rig { tick: on_tick, debug: |_| false });
    let start = timer::microseconds();
    while timer::microseconds() - start < WATCHED_US {
        if !manager.run_events(AT_ONCE).has_more && !manager.has_due_events() {
            hlt();
        }
    }
    let [first, last, longest, ticks] = [&FIRST, &LAST, &LONGEST, &TICKS].map(|figure| figure.load(Ordering::Relaxed));
    let delay = longest.saturating_sub((last - first) / ticks.max(1));
    let all = counts(manager, &ids);
    let [handled, missed, late] = core::array::from_fn(|index| all[index] - before[index]);
    line!(&KernelConsole, Plain, "handled {handled}, missed {missed}, late {late}");
    line!(&KernelConsole, Plain, "interrupts off for at most {delay}");
    handled > 0
}

/// Notes the time since the last tick. One that is due while interrupts are off comes late.
fn on_tick(_: &mut TrapFrame, _: bool) -> bool {
    let now = clock::now();
    match LAST.swap(now, Ordering::Relaxed) {
        0 => FIRST.store(now, Ordering::Relaxed),
        last => {
            LONGEST.fetch_max(now - last, Ordering::Relaxed);
            TICKS.fetch_add(1, Ordering::Relaxed);
        }
    }
    false
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
