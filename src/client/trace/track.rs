//! The track of a processor: its calls, nested in each other, and what happened to modules meanwhile.

use bareflow_abi::CallRefusal;
use bareflow_abi::interface::Status;
use bareflow_loader::{Occurrence, Printable, Version};
use bareflow_protocol::trace::{CallEnd, Entry, Event, Start};
use serde_json::{Value, json};

use super::clock::Clock;
use super::event::{KERNEL, TraceEvent};
use super::names::Names;

/// A slice that has begun.
struct Open {
    name: String,
    /// The module that runs in it; `None` for the service `invoke`.
    module: Option<String>,
}

/// The events of a processor, as they are made.
pub(super) struct Track<'all> {
    clock: Clock,
    names: &'all Names,
    processor: u32,
    open: Vec<Open>,
    /// The time of the last event, in ticks.
    last: u64,
    events: Vec<TraceEvent>,
}

impl<'all> Track<'all> {
    /// Creates the track of a processor, from this time on, in ticks.
    pub fn new(clock: Clock, names: &'all Names, processor: u32, start: u64) -> Track<'all> {
        Track { clock, names, processor, open: Vec::new(), last: start, events: Vec::new() }
    }

    /// Adds the events of an entry.
    pub fn add(&mut self, entry: &Entry) {
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
    pub fn note_lost(&mut self, lost: u64) {
        self.close_all();
        self.instant("trace", format!("{lost} entries lost"), 'p', json!({ "lost": lost }));
    }

    /// Ends all slices that have begun at this time, in ticks, and returns the events.
    pub fn finish(mut self, end: u64) -> Vec<TraceEvent> {
        self.last = self.last.max(end);
        self.close_all();
        self.events
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
    }
}

/// Returns the start of a text, which may be any bytes, without the zeros after it.
fn text(start: &Start) -> String {
    let length = start.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    Printable(&start[..length]).to_string()
}
