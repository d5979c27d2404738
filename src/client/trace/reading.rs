//! The reading of a processor's entries, before they are overwritten.

use std::time::Instant;

use anyhow::Result;
use bareflow_protocol::trace::{Entry, MAX_ENTRIES, TraceRequest};
use bareflow_protocol::{Request, Response};

use crate::client::{Client, unexpected};

/// The entries of a processor that were read.
#[derive(Default)]
pub(super) struct ProcessorEntries {
    /// The number of the next entry.
    next: u64,
    /// Entries without a gap among them, each with the number of those that were lost before them.
    pub pieces: Vec<(u64, Vec<Entry>)>,
}

impl ProcessorEntries {
    /// Reads the entries that there are by now, as far as `until` permits.
    pub fn read(&mut self, client: &mut Client, processor: u32, until: Option<Instant>) -> Result<()> {
        loop {
            let (first, entries) =
                match client.ask(Request::Trace(TraceRequest::Read { processor, from: self.next }))? {
                    Response::TraceEntries { first, entries } => (first, entries),
                    other => return Err(unexpected(&other)),
                };
            let (count, lost) = (entries.len(), first.saturating_sub(self.next));
            // Otherwise a kernel that counts backwards would make this read the same entries forever.
            self.next = self.next.max(first.saturating_add(count as u64));
            self.pieces.push((lost, entries));
            if count < MAX_ENTRIES || until.is_some_and(|until| Instant::now() >= until) {
                return Ok(());
            }
        }
    }
}
