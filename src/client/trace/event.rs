//! An event of Chrome's trace event format.

use serde::Serialize;
use serde_json::{Value, json};

/// The number of the kernel among the processes of the trace.
pub(super) const KERNEL: u32 = 1;

/// An event of the format. Its fields have the format's names.
#[derive(Debug, Serialize)]
pub(super) struct TraceEvent {
    pub name: String,
    pub cat: &'static str,
    /// The phase: `B` and `E` begin and end a slice, `i` is an instant, `M` names a track.
    pub ph: char,
    /// The time, in microseconds.
    pub ts: f64,
    pub pid: u32,
    pub tid: u32,
    /// The scope of an instant: the thread, or the process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s: Option<char>,
    #[serde(skip_serializing_if = "Value::is_null")]
    pub args: Value,
}

impl TraceEvent {
    /// Returns an event that names a track.
    pub fn metadata(what: &str, processor: u32, name: &str) -> TraceEvent {
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
}
