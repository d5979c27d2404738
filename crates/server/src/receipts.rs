//! Receipts of unloaded modules, as messages and as lines on the console.

use alloc::string::String;

use bareflow_loader::{Name, Occurrence, Platform, Receipt, Usage, Version};
use bareflow_protocol::control;
use bareflow_suite::console::Style;
use bareflow_suite::fallible::NoMemory;
use bareflow_suite::{fault, line, text};

use crate::{Server, ServerEnvironment};

/// The texts of a receipt, which are made before the module is unloaded.
pub(crate) struct ReceiptTexts {
    name: String,
    version: String,
}

impl ReceiptTexts {
    /// Makes the texts of a module with the given name and version.
    pub fn new(name: &Name, version: &Version) -> Result<ReceiptTexts, NoMemory> {
        Ok(ReceiptTexts { name: text!("{name}")?, version: text!("{version}")? })
    }
}

/// Converts a receipt to its message. If the platform does not count, all that was held counts as returned.
pub(crate) fn receipt(receipt: &Receipt, texts: ReceiptTexts) -> control::Receipt {
    let returned: Usage = receipt.returned.unwrap_or(receipt.held);
    control::Receipt {
        name: texts.name,
        version: texts.version,
        generation: receipt.generation,
        call_count: receipt.call_count,
        pages_held: receipt.held.pages,
        pages_returned: returned.pages,
        arena_bytes_held: receipt.held.arena_bytes,
        arena_bytes_returned: returned.arena_bytes,
        table_bytes_held: receipt.held.table_bytes,
        table_bytes_returned: returned.table_bytes,
        heap_bytes: receipt.heap_bytes.into(),
        leaked_blocks: receipt.leak.blocks,
        leaked_bytes: receipt.leak.bytes,
        bindings: receipt.bindings,
        exit_fault: receipt.exit_fault.as_ref().map(fault),
    }
}

impl<P: Platform, S: ServerEnvironment> Server<'_, P, S> {
    /// Reports on the console that a module was unloaded, and the memory that it did not give back.
    pub(crate) fn log_unload(&self, receipt: &Receipt) {
        let Receipt { name, version, generation, call_count, .. } = receipt;
        self.environment.show(Style::Good, format_args!("[OK]"));
        let load = format_args!("{name} {version} (load {generation})");
        line!(&self.environment, Plain, " Module unloaded: {load} after {call_count} calls");
        let (version, generation) = (version.parts(), *generation);
        self.manager.platform().trace(name, Occurrence::Unloaded { version, generation });
        if !receipt.is_balanced() {
            let Usage { pages, arena_bytes, table_bytes } = receipt.held;
            let held = format_args!("{pages} pages, {arena_bytes} shared bytes and {table_bytes} bytes of tables");
            let Usage { pages, arena_bytes, table_bytes } = receipt.returned.unwrap_or_default();
            self.environment.show(
                Style::Warning,
                format_args!("[WARN] {name}: held {held}, returned {pages}, {arena_bytes} and {table_bytes}\n"),
            );
        }
    }

    /// Reports retired modules whose last call has ended.
    pub(crate) fn log_reaped(&self) {
        while let Some(receipt) = self.manager.take_receipt() {
            self.log_unload(&receipt);
            self.sweep();
        }
    }

    /// Discards the data of modules that are gone.
    pub(crate) fn sweep(&self) {
        self.store.borrow_mut().retain(|id| self.manager.is_loaded(id));
    }
}
