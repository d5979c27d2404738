//! Loads, calls, replaces and unloads modules very often, and checks that all memory is as it was at the start.

use alloc::format;
use alloc::string::{String, ToString};

use bareflow_loader::{LoadOptions, ModuleId, Receipt, StateTransfer, Usage};
use bareflow_suite::Source;
use bareflow_suite::archive::Archive;
use bareflow_suite::line;

use crate::console::KernelConsole;
use crate::containment::Manager;
use crate::memory::frames;

/// The number of rounds in which tables grow to their final size.
const FIRST: u32 = 10;

/// Soaks every module of the boot archive, and returns whether all went well.
pub fn run(manager: &Manager, archive: &Archive<'_>, load: &LoadOptions, rounds: u32) -> bool {
    let console = &KernelConsole;
    let mut passed = !archive.blobs.is_empty();
    for source in &archive.blobs {
        match soak(manager, source, load, rounds) {
            Ok(said) => line!(console, Plain, "[OK] {said}"),
            Err(error) => {
                line!(console, Error, "[ERROR] {}: {error}", source.label);
                passed = false;
            }
        }
    }
    passed
}

fn soak(manager: &Manager, source: &Source<'_>, load: &LoadOptions, rounds: u32) -> Result<String, String> {
    let mut name = String::new();
    for _ in 0..FIRST {
        name = load_and_unload(manager, source, load)?;
        reload(manager, source, load, FIRST)?;
    }
    let before = in_use(manager);
    for _ in 0..rounds {
        load_and_unload(manager, source, load)?;
    }
    reload(manager, source, load, rounds)?;
    let after = in_use(manager);
    let (Usage { pages, arena_bytes, table_bytes }, free) = before;
    let figures =
        format!("{pages} pages, {arena_bytes} shared bytes, {table_bytes} bytes of tables, {free} free frames");
    if after != before {
        return Err(format!("{figures} before, {after:?} behind {rounds} rounds; something stays behind"));
    }
    Ok(format!("{name}: {rounds} loads and unloads, {rounds} reloads; before and behind: {figures}"))
}

/// Returns the memory in use, and the number of free frames.
fn in_use(manager: &Manager) -> (Usage, u64) {
    (manager.usage().unwrap_or_default(), frames::free_frames())
}

/// Loads a module, calls it, unloads it, and returns its name.
fn load_and_unload(manager: &Manager, source: &Source<'_>, load: &LoadOptions) -> Result<String, String> {
    let id = manager.load_with(source.bytes, load).map_err(|error| error.to_string())?;
    call(manager, id)?;
    let receipt = manager.unload(id).map_err(|error| error.to_string())?;
    check(&receipt)?;
    Ok(receipt.name.to_string())
}

/// Loads a module, replaces it `rounds` times, calls it now and then, and unloads it.
fn reload(manager: &Manager, source: &Source<'_>, load: &LoadOptions, rounds: u32) -> Result<(), String> {
    let mut id = manager.load_with(source.bytes, load).map_err(|error| error.to_string())?;
    let mut state = None;
    for round in 0..rounds {
        if round % 100 == 0 {
            let result = call(manager, id)?;
            // A state that is kept goes on counting.
            if state == Some(StateTransfer::Kept) && result != (round / 100 + 1) as i32 {
                return Err(format!("call {} behind {round} reloads returned {result}", round / 100 + 1));
            }
        }
        let reloaded = manager.replace(source.bytes, load).map_err(|error| error.to_string())?;
        state = Some(reloaded.state);
        let receipt = reloaded.replaced.and_then(|old| old.receipt).ok_or("the old one is not gone")?;
        check(&receipt)?;
        id = reloaded.id;
    }
    check(&manager.unload(id).map_err(|error| error.to_string())?)
}

fn call(manager: &Manager, id: ModuleId) -> Result<i32, String> {
    manager.execute(id).map_err(|error| error.to_string())
}

fn check(receipt: &Receipt) -> Result<(), String> {
    if receipt.is_balanced() {
        Ok(())
    } else {
        Err(format!("held {:?}, returned {:?}", receipt.held, receipt.returned))
    }
}
