//! Events of modules, as clients see them.

mod common;

use std::path::PathBuf;

use bareflow_abi::events::{Event, Kind};
use bareflow_abi::interface::bindings::Entries;
use bareflow_loader::{Domain, LoadOptions};
use bareflow_protocol::control::{Interfaces, ProviderName};
use bareflow_protocol::report::{Events, Module};
use bareflow_protocol::{Request, Response};
use common::mutate::{declaring, file};
use common::server::Local;
use common::{assert_code, bareflow, kernel, test_blob, text};
use serde_json::{Value, json};

/// The numbers of the functions of the module `net`: the second writes back its input, as a task says what it waits for.
const INIT: u16 = 0;
const PACKET: u16 = 1;

const fn event(kind: Kind, name: &'static str, function: u16) -> Event<'static> {
    Event { kind, at_start: false, function, period_us: 0, name, source: "" }
}

const fn timer(name: &'static str, function: u16, period_us: u64) -> Event<'static> {
    Event { period_us, ..event(Kind::Timer, name, function) }
}

const STOP: Event<'static> = event(Kind::Stop, "stop", INIT);

fn net(declared: &[Event<'_>]) -> Vec<u8> {
    declaring(&std::fs::read(test_blob("net")).unwrap(), declared)
}

/// Makes a server with a module in a domain.
#[track_caller]
fn with(blob: &[u8], domain: Domain) -> Local {
    let local = Local::new(LoadOptions { domain, ..LoadOptions::default() });
    local.load(blob);
    local
}

fn listed(local: &Local) -> Module {
    match local.ask(Request::Ps) {
        Response::Modules(mut modules) => modules.remove(0),
        other => panic!("{other:?}"),
    }
}

/// Runs events until `is_done`.
#[track_caller]
fn until(local: &Local, is_done: impl Fn(&Events) -> bool) -> Events {
    for _ in 0..10_000 {
        local.server.run_events(false);
        if let Some(events) = listed(local).events.filter(&is_done) {
            return events;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    panic!("never done: {:?}", listed(local).events)
}

#[test]
fn clients_see_what_modules_wait_for() {
    let price = Event { source: "feed.price", ..event(Kind::Subscription, "on_price", PACKET) };
    let blob = net(&[timer("on_tick", INIT, 5000), timer("on_late", INIT, 0), price, STOP]);
    for domain in Domain::ALL {
        let local = with(&blob, domain);
        let events = until(&local, |events| events.handled >= 3);
        let [tick, late, price, stop] = &events.list[..] else { panic!("{events:?}") };
        assert_eq!((&*tick.name, &*tick.kind, tick.period_us), ("on_tick", "timer", 5000));
        assert!(tick.due_in_us.is_some_and(|due_in_us| due_in_us <= 5000), "{tick:?}");
        assert_eq!((&*late.name, late.due_in_us, late.pending), ("on_late", None, false));
        assert_eq!((&*price.name, &*price.kind, &*price.source), ("on_price", "subscription", "feed.price"));
        assert_eq!((&*stop.name, &*stop.kind, stop.awaited, events.ended), ("stop", "stop", false, false));
        assert!(events.longest_delay_us > 0 && local.server.environment().console.borrow().contains("loaded"));
    }
    let local = with(&std::fs::read(test_blob("net")).unwrap(), Domain::Kernel);
    assert_eq!(listed(&local).events, None);
}

#[test]
fn a_module_is_asked_to_end_before_it_is_unloaded() {
    for domain in Domain::ALL {
        let local = with(&net(&[STOP]), domain);
        assert!(matches!(local.ask(Request::Unload { module: "net" }), Response::Unloaded(_)));
        let console = local.server.environment().console.borrow();
        assert!(
            console.contains("[OK] Module ended as it was asked to: net 0.1.0\n[OK] Module unloaded: net"),
            "{console}"
        );
    }
}

#[test]
fn a_task_that_does_not_end_goes_without() {
    // The mask of the event number 56, the last byte first, is that of the first event: it waits for that when it is called.
    // What is due at the start makes it a task.
    let names: Vec<String> = (0..56).map(|number| format!("timer_{number}")).collect();
    let stop = event(Kind::Stop, "stop", PACKET);
    let declared: Vec<_> =
        names.iter().map(|name| Event { kind: Kind::Timer, at_start: true, name, ..stop }).chain([stop]).collect();
    let local = with(&net(&declared), Domain::User);
    local.call("net.net_init", b"");
    let start = std::time::Instant::now();
    assert!(matches!(local.ask(Request::Unload { module: "net" }), Response::Unloaded(_)));
    // The server counts whole milliseconds, of which the first one had begun.
    assert!((1_990..10_000).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
    let console = local.server.environment().console.borrow();
    assert!(
        console.contains("[WARN] net 0.1.0 did not end within 2000 ms of being asked to, so it goes without"),
        "{console}"
    );
}

#[test]
fn all_are_asked_at_the_kernels_end() {
    let local = with(&net(&[STOP]), Domain::Kernel);
    local.server.end_modules();
    assert!(local.server.environment().console.borrow().ends_with("[OK] Module ended as it was asked to: net 0.1.0\n"));
    // A module that has nothing to do with events keeps nobody waiting.
    let local = with(&std::fs::read(test_blob("net")).unwrap(), Domain::Kernel);
    let before = local.server.environment().console.borrow().clone();
    local.server.end_modules();
    assert_eq!(*local.server.environment().console.borrow(), before);
}

/// Returns the numbers of ticks and of what the module was told.
fn counts(output: &[u8]) -> [u32; 2] {
    let word = |at: usize| u32::from_le_bytes(output[at..at + 4].try_into().unwrap());
    [word(0), word(4)]
}

#[test]
fn a_fault_of_a_handler_is_shown_and_kept() {
    for domain in Domain::ALL {
        let local = with(&std::fs::read(test_blob("echo-ticker")).unwrap(), domain);
        local.call("echo-ticker.panic_at", &[3]);
        until(&local, |_| listed(&local).state == "faulted");
        let Response::Modules(modules) = local.ask(Request::Stats { module: Some("echo-ticker") }) else { panic!() };
        let panic = modules[0].diagnosis.as_ref().and_then(|diagnosis| diagnosis.panic.clone()).unwrap();
        assert!(panic.starts_with("the last tick"), "{panic}");
        let console = local.server.environment().console.borrow();
        assert!(console.contains("[FAULT] module echo-ticker 0.1.0: panic at offset "), "{console}");
    }
}

#[test]
fn the_interface_is_listed_and_must_be_allowed() {
    let local = with(&std::fs::read(test_blob("echo-ticker")).unwrap(), Domain::Kernel);
    let Response::Interfaces(found) = local.ask(Request::Interfaces { module: None }) else { panic!() };
    let is_events = |one: &Interfaces| Entries::new(&one.bindings).any(|entry| entry.interface == "events");
    let [own @ .., ticker] = &found[..] else { panic!() };
    assert!(own.iter().any(|own| own.name == "loader" && is_events(own)), "{own:?}");
    assert_eq!(ticker.providers, [Some(ProviderName { name: "loader".to_owned(), version: None })]);
    // A module may declare events without the import of the interface.
    let folder = tempfile::tempdir().unwrap();
    let declares = file(folder.path(), "net.mod", &net(&[STOP]));
    for (blob, allow, code) in [
        (&declares, "none", 1),
        (&declares, "log,interface:random", 1),
        (&declares, "interface:events", 0),
        (&declares, "interfaces", 0),
        (&test_blob("echo-ticker"), "log", 1),
        (&test_blob("echo-ticker"), "log,interface:events", 0),
    ] {
        let output = bareflow(["inspect".as_ref(), "--allow".as_ref(), allow.as_ref(), blob.as_os_str()]);
        assert_code(&output, code);
        let expected = "not allowed: the module has events, and the policy does not name their interface; add \
                        interface:events to it";
        assert_eq!(text(&output).contains(expected), code == 1 && *blob == declares, "{}", text(&output));
    }
}

#[test]
fn a_run_runs_events_after_its_tests() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.json");
    for (place, domain) in [("host", "kernel"), ("host", "user"), ("boot", "kernel"), ("boot", "user")] {
        let words = [place, "--domain", domain, "--events", "500ms", "--json"].map(PathBuf::from);
        let output = bareflow(words.into_iter().chain([path.clone(), test_blob("echo-ticker")]));
        assert_code(&output, 0);
        let shown = text(&output);
        assert!(shown.contains("     echo-ticker only handles events, so no test calls it\n"), "{shown}");
        assert!(shown.contains("[EVENTS] Running events for 500 ms\n  [OK] "), "{shown}");
        assert!(shown.contains("no more ticks\n[OK] Module ended as it was asked to: "), "{shown}");
        let report: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(report["modules"][0]["events"], Value::Null);
        let events = &report["modules"][4]["events"];
        // A tick and what it was told of it, each ten milliseconds, less those that a busy machine misses, and the end.
        let handled = events["handled"].as_u64().unwrap();
        assert!((10..=103).contains(&handled), "{place} {domain}: {events}");
        assert_eq!((&events["list"][0]["name"], &events["ended"]), (&json!("on_tick"), &json!(false)));
    }
}

#[test]
fn a_run_restarts_what_waits_for_it_while_it_runs_events() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.json");
    for (place, domain) in [("host", "kernel"), ("host", "user"), ("boot", "kernel"), ("boot", "user")] {
        let policy = ["--on-fault", "backoff:1ms..2ms,3/60s", "--set", "rogue.misuse=2"];
        let words = [place, "--domain", domain, "--events", "2s"].into_iter().chain(policy).chain(["--json"]);
        let output = bareflow(words.map(PathBuf::from).chain([path.clone(), test_blob("rogue")]));
        assert_code(&output, 1);
        let report: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let rogue = &report["modules"][4];
        assert_eq!((&rogue["restarts"], &rogue["faults"], &rogue["state"]), (&json!(3), &json!(4), &json!("faulted")));
        assert!(text(&output).contains("restarted"), "{place} {domain}: {}", text(&output));
    }
}

#[test]
fn a_run_restarts_what_a_handler_called_though_no_event_is_due() {
    /// The number for which the provider panics, which is also the input of a handler of the events of its bits.
    const PANIC: u32 = 1000;
    let folder = tempfile::tempdir().unwrap();
    let names: Vec<_> = (0..32 - PANIC.leading_zeros()).map(|bit| format!("event{bit}")).collect();
    let at_start = |bit: usize| PANIC & 1 << bit != 0;
    let declared: Vec<_> = names
        .iter()
        .enumerate()
        .map(|(bit, name)| Event { name, at_start: at_start(bit), ..timer("", 0, 0) })
        .collect();
    let user = file(folder.path(), "user.mod", &declaring(&std::fs::read(test_blob("kinds-user")).unwrap(), &declared));
    for domain in ["kernel", "user"] {
        let words =
            ["host", "--domain", domain, "--events", "10s", "--on-fault", "backoff:50ms..50ms"].map(PathBuf::from);
        let output = bareflow(words.into_iter().chain([test_blob("kinds"), user.clone()]));
        assert!(text(&output).contains("kinds 0.1.0 was restarted"), "{}", text(&output));
    }
}

#[test]
fn a_served_kernel_runs_events_and_asks_for_the_end() {
    let blob = std::fs::read(test_blob("echo-ticker")).unwrap();
    for domain in Domain::ALL {
        kernel::with_kernel(
            |_| (),
            |client| {
                kernel::push(client, &blob, domain, "");
                let start = std::time::Instant::now();
                let [ticks, echoes] = loop {
                    let found = counts(&kernel::call(client, "echo-ticker.ticks", b"").output);
                    if found[0] >= 20 {
                        break found;
                    }
                    assert!(start.elapsed().as_secs() < 60, "{found:?}");
                };
                // What it is told is handled before the next tick.
                assert!(ticks - echoes <= 1, "{ticks} {echoes}");
                let answer = client.ask(Request::Unload { module: "echo-ticker" });
                assert!(matches!(answer, Ok(Response::Unloaded(_))), "{answer:?}");
                let Ok(Response::Log { lines, .. }) = client.ask(Request::Log { from: 0 }) else { panic!() };
                let log = lines.join("\n");
                let expected =
                    "  [LOG] echo-ticker: no more ticks\n[OK] Module ended as it was asked to: echo-ticker 0.1.0\n";
                assert!(log.contains(expected), "{log}");
            },
        );
    }
}
