//! The `trace` command: has the kernel trace for a while, and writes what it noted as Chrome's trace events.
//!
//! `reading` gets the entries, `names` knows what functions and methods are called, and `document` makes the file of them,
//! a `track` for each processor.

mod clock;
mod document;
mod event;
mod names;
mod reading;
#[cfg(test)]
mod tests;
mod track;

use std::time::{Duration, Instant};

use anyhow::Result;
use bareflow_protocol::trace::{TraceRequest, TraceState};
use bareflow_protocol::{Request, Response};
use serde_json::json;

use super::run_command::{keep, run_command};
use super::{Client, unexpected};
use crate::input_files::write_json;
use crate::options::TraceOptions;
use crate::{Exit, say};
use document::Document;
use names::Names;
use reading::ProcessorEntries;

/// The interval between requests for new entries: in that time, calls rarely overwrite all that the kernel keeps.
const POLL: Duration = Duration::from_millis(10);

/// Runs the command.
pub(crate) fn trace(options: &TraceOptions) -> Result<Exit> {
    run_command(&options.connect, |client| {
        let began = ask(client, TraceRequest::Begin)?;
        let mut processors: Vec<_> = (0..began.processors).map(|_| ProcessorEntries::default()).collect();
        let until = Instant::now() + options.duration;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            std::thread::sleep(left.min(POLL));
            for (processor, entries) in (0..).zip(&mut processors) {
                entries.read(client, processor, Some(until))?;
            }
        }
        let ended = ask(client, TraceRequest::End)?;
        for (processor, entries) in (0..).zip(&mut processors) {
            entries.read(client, processor, None)?;
        }
        let names = match client.ask(Request::Interfaces { module: None })? {
            Response::Interfaces(found) => Names::new(&found),
            other => return Err(unexpected(&other)),
        };
        let pieces = || processors.iter().flat_map(|entries| &entries.pieces);
        let lost: u64 = pieces().map(|(lost, _)| lost).sum();
        let entries: usize = pieces().map(|(_, entries)| entries.len()).sum();
        let document = Document::new(&began, &ended, &names, processors.iter().map(|entries| &entries.pieces[..]));
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
