//! The list of modules as a table.

use bareflow_protocol::report::{Event, Events, Module};
use bareflow_suite::figures::{Microseconds, OrDash};

use super::aligned;

const TITLES: [&str; 9] = ["NAME", "VERSION", "LOAD", "DOMAIN", "STATE", "CALLS", "P50", "P99", "MEMORY"];

/// Formats the modules, one per line. Where several have the same name, `*` marks the active one.
#[must_use]
pub fn table(modules: &[Module]) -> String {
    // The last columns are there only if a module has something in them.
    let has_parameters = modules.iter().any(|module| !module.parameters.is_empty());
    let has_imports = modules.iter().any(|module| !module.imports.is_empty());
    let has_events = modules.iter().any(|module| module.events.is_some());
    let has_engines = modules.iter().any(|module| module.engine.is_some());
    let row = |module: &Module| {
        let several = modules.iter().filter(|other| other.name == module.name).count() > 1;
        let mark = if several && module.active { "*" } else { "" };
        let mut row = vec![
            module.name.clone(),
            format!("{}{mark}", module.version),
            module.generation.to_string(),
            module.domain.to_string(),
            module.shown_state().to_string(),
            module.call_count.to_string(),
            OrDash(module.p50_cycles).to_string(),
            OrDash(module.p99_cycles).to_string(),
            memory(module.memory_bytes),
        ];
        row.extend(has_engines.then(|| engine(module)));
        row.extend(has_parameters.then(|| joined(&module.parameters)));
        row.extend(has_imports.then(|| joined(&module.imports)));
        row.extend(has_events.then(|| module.events.as_ref().map(waits_for).unwrap_or_default()));
        row
    };
    let mut titles = TITLES.to_vec();
    titles.extend(has_engines.then_some("ENGINE"));
    titles.extend(has_parameters.then_some("PARAMETERS"));
    titles.extend(has_imports.then_some("IMPORTS"));
    titles.extend(has_events.then_some("WAITS FOR"));
    aligned(&titles, &[2, 5, 6, 7, 8], modules.iter().map(row))
}

/// Formats the engine of a portable module, and the tier that it runs in.
fn engine(module: &Module) -> String {
    match (&module.engine, module.tier) {
        (Some(engine), Some(tier)) => format!("{engine} (tier {tier})"),
        (Some(engine), None) => engine.clone(),
        (None, _) => "-".to_owned(),
    }
}

fn joined(list: &[impl ToString]) -> String {
    list.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// Formats what a module waits for: what it says as a task, or else its armed timers and its subscriptions.
fn waits_for(events: &Events) -> String {
    if events.ended {
        return "ended".to_owned();
    }
    let is_task = events.list.iter().any(|event| event.awaited);
    let is_shown = |event: &&Event| match &*event.kind {
        "timer" | "subscription" if is_task => event.awaited,
        "timer" => event.due_in_us.is_some() || event.pending,
        kind => kind == "subscription",
    };
    let text = |Event { name, due_in_us, pending, .. }: &Event| match due_in_us {
        _ if *pending => format!("{name} (pending)"),
        Some(due_in_us) => format!("{name} {}", Microseconds(*due_in_us)),
        None => name.clone(),
    };
    events.list.iter().filter(is_shown).map(text).collect::<Vec<_>>().join(", ")
}

/// Formats bytes in KiB, rounded up, as memory is allocated in pages.
fn memory(bytes: u64) -> String {
    format!("{}K", bytes.div_ceil(1024))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::show::stats::tests::module;
    use bareflow_protocol::report::{BoundImport, SetParameter, Supervision};

    #[test]
    fn marks_the_active_one_of_several() {
        let mut modules = [module("sum", "1.0.0"), module("sum", "1.1.0"), module("primes", "1.0.0")];
        modules[0].active = false;
        modules[2].p50_cycles = None;
        let expected = "\
NAME    VERSION  LOAD  DOMAIN  STATE   CALLS  P50  P99  MEMORY
sum     1.0.0       1  kernel  loaded      3   20   30     12K
sum     1.1.0*      1  kernel  loaded      3   20   30     12K
primes  1.0.0       1  kernel  loaded      3    -   30     12K";
        assert_eq!(table(&modules), expected);
        let set = |name: &str, value: &str| SetParameter { name: name.to_owned(), value: value.to_owned() };
        modules[1].parameters = vec![set("step", "3"), set("verbose", "true")];
        let expected = "\
NAME    VERSION  LOAD  DOMAIN  STATE   CALLS  P50  P99  MEMORY  PARAMETERS
sum     1.0.0       1  kernel  loaded      3   20   30     12K
sum     1.1.0*      1  kernel  loaded      3   20   30     12K  step=3 verbose=true
primes  1.0.0       1  kernel  loaded      3    -   30     12K";
        assert_eq!(table(&modules), expected);
        modules[0].parameters.clear();
        modules[1].parameters.clear();
        (modules[2].engine, modules[2].tier) = (Some("compiler@0.2.0".to_owned()), Some(2));
        let found = table(&modules);
        assert!(found.contains("MEMORY  ENGINE\n") && found.ends_with("12K  compiler@0.2.0 (tier 2)"), "{found}");
        assert!(found.contains("   12K  -\n"), "{found}");
        (modules[2].engine, modules[2].tier) = (None, None);
        modules[1].parameters = vec![set("step", "3"), set("verbose", "true")];
        let bound = |name: &str, provider: &str| BoundImport { name: name.to_owned(), provider: provider.to_owned() };
        let waiting = Supervision { starts_in_ms: Some(120), ..Supervision::default() };
        modules[0].supervision = Some(waiting);
        let fell_back = Supervision { fell_back_from: Some("1.2.0".to_owned()), ..Supervision::default() };
        modules[1].supervision = Some(fell_back);
        let found = table(&modules);
        assert!(
            found.contains("  waiting 120 ms                ") && found.contains("  loaded, fell back from 1.2.0  "),
            "{found}"
        );
        (modules[0].supervision, modules[1].supervision) = (None, None);
        modules[2].imports = vec![bound("source", "disk@1.0.0"), bound("random", "kernel")];
        let found = table(&modules);
        assert!(found.contains("MEMORY  PARAMETERS           IMPORTS\n"), "{found}");
        assert!(found.ends_with("12K                       source=disk@1.0.0 random=kernel"), "{found}");
    }

    #[test]
    fn shows_what_modules_wait_for() {
        let event = |name: &str, kind: &'static str, due_in_us, awaited| Event {
            name: name.to_owned(),
            kind: kind.into(),
            source: String::new(),
            due_in_us,
            period_us: 0,
            pending: false,
            awaited,
        };
        let task = vec![
            event("task", "timer", Some(120_400), true),
            event("late", "timer", Some(7), false),
            event("price", "subscription", None, true),
            event("stop", "stop", None, true),
        ];
        let mut modules = [module("feed", "1.0.0"), module("sum", "1.0.0")];
        modules[0].events = Some(Events { list: task, ..Events::default() });
        let expected = "\
NAME  VERSION  LOAD  DOMAIN  STATE   CALLS  P50  P99  MEMORY  WAITS FOR
feed  1.0.0       1  kernel  loaded      3   20   30     12K  task 120 ms, price
sum   1.0.0       1  kernel  loaded      3   20   30     12K";
        assert_eq!(table(&modules), expected);
        let mut events = modules[0].events.take().unwrap();
        events.list.iter_mut().for_each(|event| event.awaited = false);
        events.list[1].pending = true;
        assert_eq!(waits_for(&events), "task 120 ms, late (pending), price");
        assert_eq!(waits_for(&Events { ended: true, ..events }), "ended");
    }
}
