//! The kernel's check of itself: a module commits one fault after the other. After each fault the kernel checks the
//! reported outcome, the next call of another module, and, once the faulty module is gone, its memory. The module and
//! the names of the faults come in the boot archive, as do modules that it uses, which must be well after each fault.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use bareflow_containment::{Image, clock, last_fault_time, page_tables};
use bareflow_loader::{ExecuteError, LoadError, LoadOptions, ModuleId};
use bareflow_protocol::Message;
use bareflow_protocol::self_check::{FaultRow, FaultTable};
use bareflow_suite::archive::Archive;
use bareflow_suite::console::Style;
use bareflow_suite::line;

use crate::console::KernelConsole;
use crate::containment::Manager;
use crate::embedded;
use crate::memory::frames;
use crate::serial::tell_host;

/// The good module that is called after each fault, and its result.
const GOOD: (&str, i32) = ("sum", 5050);

/// Bytes of output the faulty module may write.
const OUTPUT: usize = 4096;

/// Runs all checks and returns whether they hold.
pub fn run(manager: &Manager, archive: &Archive<'_>, load: &LoadOptions) -> bool {
    let console = &KernelConsole;
    match check(manager, archive, load) {
        Ok(table) => {
            let contained = table.rows.iter().all(|row| row.next_is_good && row.frames_missing == 0);
            let passed = contained && table.writable_and_executable == 0;
            tell_host(&Message::Faults(table));
            passed
        }
        Err(error) => {
            line!(console, Error, "[ERROR] {error}");
            false
        }
    }
}

fn check(manager: &Manager, archive: &Archive<'_>, load: &LoadOptions) -> Result<FaultTable, String> {
    let (faulty, used) =
        archive.blobs.split_first().ok_or("no blob in the boot archive, expected the one that faults")?;
    for blob in embedded::modules() {
        manager.load(blob.bytes).map_err(|error| error.to_string())?;
    }
    let used = used.iter().map(|blob| manager.load_with(blob.bytes, load)).collect::<Result<Vec<_>, _>>();
    let used = used.map_err(|error| error.to_string())?;
    let mut table = FaultTable { domain: load.domain.name().to_string(), ..FaultTable::default() };
    let names: Vec<_> = archive.input.split(|&byte| byte == b'\n').filter(|name| !name.is_empty()).collect();
    // The first load and the first fault create tables that stay.
    let _ = commit(manager, faulty.bytes, &used, b"", load);
    for name in names {
        let (row, bad_pages) = commit(manager, faulty.bytes, &used, name, load).map_err(|error| error.to_string())?;
        let console = &KernelConsole;
        let good = row.next_is_good && row.frames_missing == 0;
        let (style, verdict) = if good { (Style::Good, "[OK]") } else { (Style::Error, "[FAIL]") };
        bareflow_suite::console::Console::show(console, style, format_args!("{verdict}"));
        line!(console, Plain, " {}: {:?}", row.name, row.outcome);
        table.writable_and_executable += bad_pages;
        table.rows.push(row);
    }
    table.writable_and_executable += page_tables::writable_and_executable();
    Ok(table)
}

/// Loads the faulty module, makes it commit one fault, calls a good one, and unloads the faulty one.
/// Also returns the number of pages of its own tables that are writable and executable.
fn commit(
    manager: &Manager,
    blob: &[u8],
    used: &[ModuleId],
    name: &[u8],
    load: &LoadOptions,
) -> Result<(FaultRow, u64), LoadError> {
    let mut output = alloc::vec![0; OUTPUT];
    let before = frames::free_frames();
    let id = manager.load_with(blob, load)?;
    let result = manager.execute_with(id, name, &mut output);
    let good = manager.find(GOOD.0).map(|good| manager.execute(good));
    let now = clock::now();
    let fault = match result {
        Err(ExecuteError::Faulted(fault)) => Some(fault),
        _ => None,
    };
    let bad_pages = manager.with_image(id, Image::writable_and_executable).unwrap_or(0);
    let are_used_good = used.iter().all(|&id| matches!(manager.execute(id), Ok(0) | Err(ExecuteError::NoRun)));
    // The module's profile and the diagnosis are on the heap, so they don't change the number of frames.
    let is_balanced = manager.unload(id).is_ok_and(|receipt| receipt.is_balanced());
    let row = FaultRow {
        name: String::from_utf8_lossy(name).into_owned(),
        outcome: match (result, fault) {
            (Ok(outcome), _) => Ok(outcome.result),
            (_, Some(fault)) => Err(fault.kind.name().to_string()),
            (Err(error), None) => Err(error.to_string()),
        },
        place: fault.map_or((None, None), |fault| (fault.offset, fault.address)),
        recovery_cycles: fault.map(|_| now - last_fault_time()),
        next_is_good: good == Some(Ok(GOOD.1)) && are_used_good && is_balanced,
        frames_missing: before.saturating_sub(frames::free_frames()),
    };
    Ok((row, bad_pages))
}
