//! Tests of the file that a trace becomes.

use bareflow_loader::Occurrence;
use bareflow_protocol::trace::{CallEnd, Entry, Event, TraceState, start_of};
use serde_json::Value;

use super::document::Document;
use super::names::Names;

fn state(clock: &'static str, ticks: u64, milliseconds: u64) -> TraceState {
    TraceState { processors: 1, clock: clock.into(), ticks, milliseconds }
}

fn begin(ticks: u64, module: &str) -> Entry {
    Entry { ticks, event: Event::BeginCall { module: start_of(module.as_bytes()), reason: 0 } }
}

fn end(ticks: u64) -> Entry {
    Entry { ticks, event: Event::EndCall(CallEnd::Returned(7)) }
}

/// Returns the events of a trace from 1,000 to 9,000 ticks in 2 ms: phase, name and microseconds.
fn events(pieces: &[(u64, Vec<Entry>)]) -> Vec<String> {
    let document =
        Document::new(&state("tsc", 1000, 10), &state("tsc", 9000, 12), &Names::default(), [pieces].into_iter());
    let document = serde_json::to_value(&document).unwrap();
    assert_eq!(document["otherData"]["ticks_per_microsecond"], 4.0);
    let event = |event: &Value| format!("{} {} {}", event["ph"], event["name"], event["ts"]).replace('"', "");
    document["traceEvents"].as_array().unwrap().iter().filter(|event| event["ph"] != "M").map(event).collect()
}

#[test]
fn calls_nest_and_get_the_time() {
    let log = Entry { ticks: 2100, event: Event::Log { length: 2, start: start_of(b"hi") } };
    let invoke = Entry { ticks: 2200, event: Event::BeginInvoke { import: 1, method: 2 } };
    let answer = Entry { ticks: 2800, event: Event::EndInvoke { status: 0 } };
    let piece = vec![begin(2000, "outer"), log, invoke, begin(2400, "inner"), end(2600), answer, end(3000)];
    assert_eq!(
        events(&[(0, piece)]),
        [
            "B outer 250.0",
            "i log 275.0",
            "B import 1, method 2 300.0",
            "B inner 350.0",
            "E inner 400.0",
            "E import 1, method 2 450.0",
            "E outer 500.0"
        ]
    );
}

#[test]
fn what_is_lost_or_unfinished_leaves_no_slice_open() {
    // The first end belongs to a call that began before the trace, the second one to one that began in the gap.
    let pieces = [(0, vec![end(1400), begin(2000, "a"), begin(2200, "b")]), (5, vec![end(3000), begin(4000, "c")])];
    assert_eq!(
        events(&pieces),
        ["B a 250.0", "B b 300.0", "E b 300.0", "E a 300.0", "i 5 entries lost 300.0", "B c 750.0", "E c 2000.0"]
    );
}

#[test]
fn an_end_of_another_kind_ends_nothing() {
    let answer = Entry { ticks: 2100, event: Event::EndInvoke { status: 0 } };
    let invoke = Entry { ticks: 2200, event: Event::BeginInvoke { import: 0, method: 0 } };
    let found = events(&[(0, vec![begin(2000, "a"), answer, invoke, end(2300)])]);
    assert_eq!(found, ["B a 250.0", "B import 0, method 0 300.0", "E import 0, method 0 2000.0", "E a 2000.0"]);
}

#[test]
fn time_does_not_run_backwards() {
    let found = events(&[(0, vec![begin(500, "early"), end(4000), begin(3000, "late"), end(2000)])]);
    assert_eq!(found, ["B early 0.0", "E early 750.0", "B late 750.0", "E late 750.0"]);
}

#[test]
fn faults_and_occurrences_are_marked() {
    let fault = CallEnd::Faulted { kind: start_of(b"divide"), offset: Some(16) };
    let ended = Entry { ticks: 2000, event: Event::EndCall(fault) };
    let due = Event::Module { name: start_of(b"a"), occurrence: Occurrence::Due(3) };
    assert_eq!(
        events(&[(0, vec![begin(2000, "a"), ended, Entry { ticks: 2000, event: due }])]),
        ["B a 250.0", "i a faulted: divide 250.0", "E a 250.0", "i a events due 250.0"]
    );
}

#[test]
fn instructions_are_nanoseconds() {
    let pieces = [(0, vec![begin(2001, "a"), end(3000)])];
    let (began, ended) = (state("icount", 1000, 10), state("icount", 9000, 12));
    let document = serde_json::to_value(Document::new(&began, &ended, &Names::default(), [&pieces[..]].into_iter()));
    let document = document.unwrap();
    assert_eq!((&document["traceEvents"][2]["ts"], &document["otherData"]["clock"]), (&1.001.into(), &"icount".into()));
}
