//! Events of modules, as clients see them.

mod common;

use bareflow_abi::events::{Event, Kind};
use bareflow_loader::{Domain, LoadOptions};
use bareflow_protocol::report::{Events, Module};
use bareflow_protocol::{Request, Response};
use common::mutate::declaring;
use common::server::Local;
use common::test_blob;

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
    let names: Vec<String> = (0..56).map(|number| format!("timer_{number}")).collect();
    let stop = event(Kind::Stop, "stop", PACKET);
    let declared: Vec<_> = names.iter().map(|name| Event { kind: Kind::Timer, name, ..stop }).chain([stop]).collect();
    let local = with(&net(&declared), Domain::User);
    local.call("net.net_init", b"");
    let start = std::time::Instant::now();
    assert!(matches!(local.ask(Request::Unload { module: "net" }), Response::Unloaded(_)));
    assert!((2000..10_000).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
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
