//! The events and notifications of a blob.

use bareflow_abi::events;
use bareflow_abi::record::EVENTS;
use bareflow_loader::RawModule;
use bareflow_loader::records::first_record;
use serde::Serialize;

use crate::interfaces::exports::Interface;
use crate::say;

/// An event that the module handles, or a notification that it publishes.
#[derive(Debug, Serialize)]
pub(super) struct Event {
    name: String,
    kind: &'static str,
    /// The function that handles it; `None` if none does, or if its name was stripped.
    function: Option<String>,
    /// Whether it is due once when the module goes live.
    at_start: bool,
    /// The period of a timer, or the time of a watchdog, in microseconds.
    period_us: u64,
    /// The notification that a subscription is for.
    source: String,
}

/// Returns the events and notifications of a module with these imports and exports.
pub(super) fn events(raw: RawModule<'_>, interfaces: &[Interface]) -> Vec<Event> {
    let functions = interfaces.iter().find(|found| found.import.is_none() && found.name.is_empty());
    let event = |event: events::Event<'_>| Event {
        name: event.name.to_owned(),
        kind: event.kind.name(),
        // The plain functions are numbered from 0 on.
        function: functions
            .filter(|_| event.kind.has_handler())
            .and_then(|functions| functions.method_name(event.function.into()))
            .map(str::to_owned),
        at_start: event.at_start,
        period_us: event.period_us,
        source: event.source.to_owned(),
    };
    events::Events::new(first_record(raw.records, EVENTS)).map(event).collect()
}

pub(super) fn show(events: &[Event]) {
    if events.is_empty() {
        return;
    }
    say!("\nEvents: {}", events.len());
    for Event { name, kind, function, at_start, period_us, source } in events {
        let when = match *kind {
            "timer" if *at_start && *period_us == 0 => ": at the start, then when the module says".to_owned(),
            "timer" if *period_us == 0 => ": when the module says".to_owned(),
            "timer" => format!(": each {period_us} us"),
            "watchdog" => format!(": {period_us} us"),
            "subscription" => format!(": {source}"),
            _ => String::new(),
        };
        let handler = function.as_ref().map(|function| format!(", by {function}")).unwrap_or_default();
        let name = if name == kind { String::new() } else { format!(" {name}") };
        say!("  {kind}{name}{when}{handler}");
    }
}
