//! Receipts as text: the resources that a module held and returned.

use std::fmt::Write;

use bareflow_protocol::control::{Loaded, Receipt, Replaced};

use super::count;

/// Formats the outcome of a load on one line; problems of the replaced module follow on lines of their own.
#[must_use]
pub fn loaded(loaded: &Loaded) -> String {
    let Loaded { name, version, generation, active, replaced, state, cycles, verdict: _ } = loaded;
    let mut text = format!("{name} {version} (load {generation})");
    match replaced {
        Some(Replaced { version, generation, .. }) => {
            let _ = write!(text, " in place of {version} (load {generation})");
        }
        None if *active => {}
        None => text.push_str(" beside the active one"),
    }
    let _ = write!(text, "; state {state}; prepared in {} cycles, switched in {}", cycles.prepare, cycles.switch);
    match replaced.as_ref().map(|replaced| &replaced.receipt) {
        None => {}
        Some(None) => text.push_str("; the old one goes when its last call ends"),
        Some(Some(receipt)) => {
            let pages = count(receipt.pages_returned, "page");
            let (shared, tables) = (receipt.arena_bytes_returned, receipt.table_bytes_returned);
            let _ = write!(text, "; {pages}, {shared} shared bytes and {tables} bytes of tables given back");
            for line in complaints(receipt) {
                let _ = write!(text, "\n  of the old one: {line}");
            }
        }
    }
    text
}

/// Formats the resources that an unloaded module held and returned, line by line.
#[must_use]
pub fn text(receipt: &Receipt) -> String {
    let Receipt { name, version, generation, .. } = receipt;
    let calls = count(receipt.call_count, "call");
    let mut text = format!("{name} {version} (load {generation}) is unloaded after {calls}");
    let held = [
        ("pages", receipt.pages_held, receipt.pages_returned),
        ("shared bytes", receipt.arena_bytes_held, receipt.arena_bytes_returned),
        ("bytes of tables", receipt.table_bytes_held, receipt.table_bytes_returned),
    ];
    for (what, held, returned) in held {
        let _ = write!(text, "\n  {what:<16} {held:>9} held {returned:>9} returned");
    }
    let _ = write!(text, "\n  {:<16} {:>9}, gone with it", "bytes of heap", receipt.heap_bytes);
    let _ = write!(text, "\n  {:<16} {:>9}", "bindings", receipt.bindings);
    let complaints = complaints(receipt);
    if complaints.is_empty() {
        text.push_str("\n  no leaks");
    }
    for line in complaints {
        let _ = write!(text, "\n  {line}");
    }
    text
}

/// Returns the leaks and the exit fault that a receipt reports.
fn complaints(receipt: &Receipt) -> Vec<String> {
    let mut all = Vec::new();
    if let Some(pages) = receipt.pages_held.checked_sub(receipt.pages_returned).filter(|&pages| pages > 0) {
        all.push(format!("leak: {} not returned", count(pages, "page")));
    }
    let shared = receipt.arena_bytes_held.checked_sub(receipt.arena_bytes_returned);
    if let Some(bytes) = shared.filter(|&bytes| bytes > 0) {
        all.push(format!("leak: {} of shared pages not returned", count(bytes, "byte")));
    }
    let tables = receipt.table_bytes_held.checked_sub(receipt.table_bytes_returned);
    if let Some(bytes) = tables.filter(|&bytes| bytes > 0) {
        all.push(format!("leak: {} of tables not returned", count(bytes, "byte")));
    }
    if receipt.leaked_blocks > 0 {
        let (blocks, bytes) = (count(receipt.leaked_blocks, "block"), count(receipt.leaked_bytes, "byte"));
        all.push(format!("leak: {blocks} of its heap never freed, {bytes}; they went with the heap"));
    }
    if let Some(fault) = &receipt.exit_fault {
        all.push(format!("its exit ended in a fault: {}", fault));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use bareflow_protocol::control::LoadCycles;
    use bareflow_protocol::report::Fault;

    fn receipt() -> Receipt {
        Receipt {
            name: "sum".into(),
            version: "1.0.0".into(),
            generation: 1,
            call_count: 3,
            pages_held: 5,
            pages_returned: 5,
            arena_bytes_held: 192,
            arena_bytes_returned: 192,
            table_bytes_held: 812,
            table_bytes_returned: 812,
            heap_bytes: 65536,
            leaked_blocks: 0,
            leaked_bytes: 0,
            bindings: 0,
            exit_fault: None,
        }
    }

    #[test]
    fn a_replacement_fits_a_line() {
        let replaced = Replaced { version: "1.0.0".into(), generation: 1, receipt: Some(receipt()) };
        let mut all = Loaded {
            name: "sum".into(),
            version: "1.1.0".into(),
            generation: 2,
            active: true,
            replaced: Some(replaced),
            state: "none".into(),
            cycles: LoadCycles { prepare: 900, switch: 80 },
            verdict: None,
        };
        let expected = "sum 1.1.0 (load 2) in place of 1.0.0 (load 1); state none; prepared in 900 cycles, \
            switched in 80; 5 pages, 192 shared bytes and 812 bytes of tables given back";
        assert_eq!(loaded(&all), expected);
        all.replaced.as_mut().unwrap().receipt = None;
        assert!(loaded(&all).ends_with("switched in 80; the old one goes when its last call ends"));
        (all.replaced, all.active) = (None, false);
        assert!(loaded(&all).starts_with("sum 1.1.0 (load 2) beside the active one; state none;"));
    }

    #[test]
    fn leaks_are_named() {
        assert!(text(&receipt()).ends_with("  no leaks"));
        let leaky = Receipt {
            pages_returned: 4,
            table_bytes_returned: 800,
            leaked_blocks: 2,
            leaked_bytes: 48,
            exit_fault: Some(Fault { kind: "divide".into(), offset: Some(3), address: None, function: None }),
            ..receipt()
        };
        let expected = "\
sum 1.0.0 (load 1) is unloaded after 3 calls
  pages                    5 held         4 returned
  shared bytes           192 held       192 returned
  bytes of tables        812 held       800 returned
  bytes of heap        65536, gone with it
  bindings                 0
  leak: 1 page not returned
  leak: 12 bytes of tables not returned
  leak: 2 blocks of its heap never freed, 48 bytes; they went with the heap
  its exit ended in a fault: divide at offset 0x3";
        assert_eq!(text(&leaky), expected);
    }
}
