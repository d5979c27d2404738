//! A trace as JSON, in Chrome's trace event format, which <https://ui.perfetto.dev> shows: a track for each processor, with
//! the calls nested in each other.

use bareflow_protocol::trace::{Entry, TraceState};
use serde::Serialize;
use serde_json::{Value, json};

use super::clock::Clock;
use super::event::TraceEvent;
use super::names::Names;
use super::track::Track;

/// The file.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document {
    trace_events: Vec<TraceEvent>,
    display_time_unit: &'static str,
    other_data: Value,
}

impl Document {
    /// Makes the file of a trace, from the pieces of each processor in order.
    pub fn new<'all>(
        began: &TraceState,
        ended: &TraceState,
        names: &Names,
        processors: impl Iterator<Item = &'all [(u64, Vec<Entry>)]>,
    ) -> Document {
        let clock = Clock::new(began, ended);
        let mut trace_events = vec![TraceEvent::metadata("process_name", 0, "BareFlow's kernel")];
        let mut all_lost = 0;
        for (processor, pieces) in (0..).zip(processors) {
            trace_events.push(TraceEvent::metadata("thread_name", processor, &format!("processor {processor}")));
            let mut track = Track::new(clock, names, processor, began.ticks);
            for (lost, entries) in pieces {
                if *lost > 0 {
                    track.note_lost(*lost);
                    all_lost += lost;
                }
                entries.iter().for_each(|entry| track.add(entry));
            }
            trace_events.extend(track.finish(ended.ticks));
        }
        let other_data = json!({
            "clock": began.clock,
            "ticks_per_microsecond": clock.ticks_per_microsecond,
            "unit": if clock.is_exact { "a tick is an instruction, shown as a nanosecond" } else { "time" },
            "lost": all_lost,
        });
        Document { trace_events, display_time_unit: "ns", other_data }
    }
}
