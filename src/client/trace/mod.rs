//! The `trace` command: has the kernel trace for a while, and writes what it noted as Chrome's trace events.
//!
//! `names` knows what functions and methods are called, and `document` makes the file.

mod document;
mod names;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use anyhow::Result;
use bareflow_protocol::trace::{Entry, MAX_ENTRIES, TraceRequest, TraceState};
use bareflow_protocol::{Request, Response};
use serde_json::json;

use super::run_command::{keep, run_command};
use super::{Client, unexpected};
use crate::input_files::write_json;
use crate::options::TraceOptions;
use crate::{Exit, say};
use document::Document;
use names::Names;

/// The interval between requests for new entries: in that time, calls rarely overwrite all that the kernel keeps.
const POLL: Duration = Duration::from_millis(10);

/// The entries of a processor that were read.
#[derive(Default)]
struct Track {
    /// The number of the next entry.
    next: u64,
    /// Entries without a gap among them, each with the number of those that were lost before them.
    pieces: Vec<(u64, Vec<Entry>)>,
}

impl Track {
    /// Reads the entries that there are by now, as far as `until` permits.
    fn read(&mut self, client: &mut Client, processor: u32, until: Option<Instant>) -> Result<()> {
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

/// Runs the command.
pub(crate) fn trace(options: &TraceOptions) -> Result<Exit> {
    run_command(&options.connect, |client| {
        let began = ask(client, TraceRequest::Begin)?;
        let mut tracks: Vec<_> = (0..began.processors).map(|_| Track::default()).collect();
        let until = Instant::now() + options.duration;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            std::thread::sleep(left.min(POLL));
            for (processor, track) in (0..).zip(&mut tracks) {
                track.read(client, processor, Some(until))?;
            }
        }
        let ended = ask(client, TraceRequest::End)?;
        for (processor, track) in (0..).zip(&mut tracks) {
            track.read(client, processor, None)?;
        }
        let names = match client.ask(Request::Interfaces { module: None })? {
            Response::Interfaces(found) => Names::new(&found),
            other => return Err(unexpected(&other)),
        };
        let pieces = || tracks.iter().flat_map(|track| &track.pieces);
        let lost: u64 = pieces().map(|(lost, _)| lost).sum();
        let entries: usize = pieces().map(|(_, entries)| entries.len()).sum();
        let document = Document::new(&began, &ended, &names, tracks.iter().map(|track| &track.pieces[..]));
        write_json(&options.output, &document)?;
        let path = options.output.display();
        say!("{path}: {entries} entries, {lost} lost; open it at https://ui.perfetto.dev");
        keep(options.connect.json.as_deref(), &json!({ "file": options.output, "entries": entries, "lost": lost }))?;
        Ok(Exit::Passed)
    })
}

/// Begins or ends the trace.
fn ask(client: &mut Client, request: TraceRequest) -> Result<TraceState> {
    match client.ask(Request::Trace(request))? {
        Response::Trace(state) => Ok(state),
        other => Err(unexpected(&other)),
    }
}
