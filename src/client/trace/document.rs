//! A trace as JSON, in Chrome's trace event format, which <https://ui.perfetto.dev> shows: a track for each processor, with
//! the calls nested in each other.

use bareflow_abi::CallRefusal;
use bareflow_abi::interface::Status;
use bareflow_loader::{Occurrence, Printable, Version};
use bareflow_protocol::trace::{CallEnd, Entry, Event, Start, TraceState};
use serde::Serialize;
use serde_json::{Value, json};

use super::names::Names;

/// The number of the kernel among the processes of the trace.
const KERNEL: u32 = 1;

/// The file.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document {
    trace_events: Vec<TraceEvent>,
    display_time_unit: &'static str,
    other_data: Value,
}

/// An event of the format. Its fields have the format's names.
#[derive(Debug, Serialize)]
struct TraceEvent {
    name: String,
    cat: &'static str,
    /// The phase: `B` and `E` begin and end a slice, `i` is an instant, `M` names a track.
    ph: char,
    /// The time, in microseconds.
    ts: f64,
    pid: u32,
    tid: u32,
    /// The scope of an instant: the thread, or the process.
    #[serde(skip_serializing_if = "Option::is_none")]
    s: Option<char>,
    #[serde(skip_serializing_if = "Value::is_null")]
    args: Value,
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
        let mut trace_events = vec![name("process_name", 0, "BareFlow's kernel")];
        let mut all_lost = 0;
        for (processor, pieces) in (0..).zip(processors) {
            trace_events.push(name("thread_name", processor, &format!("processor {processor}")));
            let mut track =
                Track { clock, names, processor, open: Vec::new(), last: began.ticks, events: trace_events };
            for (lost, entries) in pieces {
                if *lost > 0 {
                    track.note_lost(*lost);
                    all_lost += lost;
                }
                entries.iter().for_each(|entry| track.add(entry));
            }
            track.last = track.last.max(ended.ticks);
            track.close_all();
            trace_events = track.events;
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

/// Names a track.
fn name(what: &str, processor: u32, name: &str) -> TraceEvent {
    let args = json!({ "name": name });
    TraceEvent {
        name: what.to_owned(),
        cat: "__metadata",
        ph: 'M',
        ts: 0.0,
        pid: KERNEL,
        tid: processor,
        s: None,
        args,
    }
}

/// The conversion of the kernel's ticks.
#[derive(Clone, Copy)]
struct Clock {
    start: u64,
    ticks_per_microsecond: f64,
    /// Whether ticks are instructions.
    is_exact: bool,
}

impl Clock {
    /// Returns the clock of a trace. Its frequency is that over the whole trace, by the kernel's milliseconds.
    fn new(began: &TraceState, ended: &TraceState) -> Clock {
        let (ticks, milliseconds) =
            (ended.ticks.saturating_sub(began.ticks), ended.milliseconds.saturating_sub(began.milliseconds));
        let is_exact = began.clock == "icount";
        let measured = ticks as f64 / (milliseconds as f64 * 1000.0);
        // A trace shorter than a millisecond has no frequency.
        let ticks_per_microsecond = if !is_exact && measured.is_normal() { measured } else { 1000.0 };
        Clock { start: began.ticks, ticks_per_microsecond, is_exact }
    }

    /// Returns the microseconds since the start, to the nanosecond.
    fn microseconds(&self, ticks: u64) -> f64 {
        (ticks.saturating_sub(self.start) as f64 / self.ticks_per_microsecond * 1000.0).round() / 1000.0
    }
}

/// A slice that has begun.
struct Open {
    name: String,
    /// The module that runs in it; `None` for the service `invoke`.
    module: Option<String>,
}

/// The events of a processor, as they are made.
struct Track<'all> {
    clock: Clock,
    names: &'all Names,
    processor: u32,
    open: Vec<Open>,
    /// The time of the last event, in ticks.
    last: u64,
    events: Vec<TraceEvent>,
}

impl Track<'_> {
    fn add(&mut self, entry: &Entry) {
        self.last = self.last.max(entry.ticks);
        match entry.event {
            Event::BeginCall { module, reason } => {
                let module = text(&module);
                let name = self.names.call(&module, reason);
                self.begin("call", Open { name, module: Some(module.clone()) }, json!({ "module": module }));
            }
            Event::EndCall(end) => {
                let args = match end {
                    CallEnd::Returned(result) => json!({ "result": result }),
                    CallEnd::Faulted { kind, offset } => json!({ "fault": text(&kind), "offset": offset }),
                    CallEnd::NoMemory => json!({ "fault": "no memory for the call" }),
                };
                if let Some(Open { module: Some(module), .. }) = self.open.last() {
                    if let Some(fault) = args.get("fault").and_then(Value::as_str) {
                        let name = format!("{module} faulted: {fault}");
                        self.instant("fault", name, 't', args.clone());
                    }
                    self.end(args);
                }
            }
            Event::BeginInvoke { import, method } => {
                let module = self.open.last().and_then(|open| open.module.as_deref());
                let name = self.names.invoke(module, import, method);
                self.begin("service", Open { name, module: None }, json!({ "import": import, "method": method }));
            }
            Event::EndInvoke { status } => {
                if let Some(Open { module: None, .. }) = self.open.last() {
                    self.end(match Status::from_number(status) {
                        Status::Returned => json!({ "returned": "Ok" }),
                        Status::Refused(error) => json!({ "returned": "Err", "error": error }),
                        Status::Failed(error) => json!({ "failed": format!("{error:?}") }),
                    });
                }
            }
            Event::Log { length, start } => {
                self.instant("service", "log".to_owned(), 't', json!({ "line": text(&start), "length": length }));
            }
            Event::Clock => self.instant("service", "clock".to_owned(), 't', Value::Null),
            Event::Call { name, status, result } => {
                let args = match status {
                    0 => json!({ "result": result }),
                    _ => json!({ "refused": CallRefusal::from_number(status).to_string() }),
                };
                self.instant("service", format!("call of {}", text(&name)), 't', args);
            }
            Event::Module { name, occurrence } => {
                let (category, what, args) = describe(occurrence);
                self.instant(category, format!("{} {what}", text(&name)), 'p', args);
            }
        }
    }

    /// Marks a gap. What was open before it may have ended in it.
    fn note_lost(&mut self, lost: u64) {
        self.close_all();
        self.instant("trace", format!("{lost} entries lost"), 'p', json!({ "lost": lost }));
    }

    /// Ends all slices that have begun; how they ended is unknown.
    fn close_all(&mut self) {
        while !self.open.is_empty() {
            self.end(json!({ "unfinished": true }));
        }
    }

    fn begin(&mut self, category: &'static str, open: Open, args: Value) {
        self.push(open.name.clone(), category, 'B', None, args);
        self.open.push(open);
    }

    fn end(&mut self, args: Value) {
        if let Some(Open { name, module }) = self.open.pop() {
            let category = if module.is_some() { "call" } else { "service" };
            self.push(name, category, 'E', None, args);
        }
    }

    fn instant(&mut self, category: &'static str, name: String, scope: char, args: Value) {
        self.push(name, category, 'i', Some(scope), args);
    }

    fn push(&mut self, name: String, cat: &'static str, ph: char, s: Option<char>, args: Value) {
        let ts = self.clock.microseconds(self.last);
        self.events.push(TraceEvent { name, cat, ph, ts, pid: KERNEL, tid: self.processor, s, args });
    }
}

/// Returns the category of an occurrence, what happened to the module, and the details.
fn describe(occurrence: Occurrence) -> (&'static str, String, Value) {
    let of = |version: [u32; 3], generation: u32| json!({ "version": Version::from(version).to_string(), "generation": generation });
    match occurrence {
        Occurrence::Loaded { version, generation } => ("module", "loaded".to_owned(), of(version, generation)),
        Occurrence::Replaced { version, generation } => {
            ("module", "replaced another load".to_owned(), of(version, generation))
        }
        Occurrence::Unloaded { version, generation } => ("module", "unloaded".to_owned(), of(version, generation)),
        Occurrence::Stopped => ("module", "stopped by a fault".to_owned(), Value::Null),
        Occurrence::Restarted => ("module", "restarted".to_owned(), Value::Null),
        Occurrence::Due(events) => {
            let numbers: Vec<_> = (0..u64::BITS).filter(|bit| events >> bit & 1 == 1).collect();
            ("event", "events due".to_owned(), json!({ "events": numbers }))
        }
        Occurrence::Notified(number) => {
            ("event", format!("published notification {number}"), json!({ "notification": number }))
        }
        other => ("module", format!("{other:?}"), Value::Null),
    }
}

/// Returns the start of a text, which may be any bytes, without the zeros behind it.
fn text(start: &Start) -> String {
    let length = start.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    Printable(&start[..length]).to_string()
}
