//! Modules that misuse events, in a kernel: each harms itself alone, and those of others go on, also while a call runs.

mod common;

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use bareflow::client::Client;
use bareflow_loader::Domain;
use bareflow_protocol::control::LoadOverrides;
use bareflow_protocol::report::Module;
use bareflow_protocol::{Request, Response};
use common::kernel::{call, push, push_with, with_kernel};
use common::{gallery_blob, test_blob};

/// The steps of a call that takes a while, in an emulator as well.
const LONG: u64 = 50_000_000;

fn ticks(client: &mut Client) -> i32 {
    call(client, "ticker.ticks", b"").result
}

fn module(client: &mut Client, name: &str) -> Module {
    match client.ask(Request::Stats { module: Some(name) }) {
        Ok(Response::Modules(mut modules)) => modules.remove(0),
        other => panic!("{other:?}"),
    }
}

/// Waits until `is_done` of a module.
#[track_caller]
fn until(client: &mut Client, name: &str, is_done: impl Fn(&Module) -> bool) -> Module {
    for _ in 0..500 {
        let found = module(client, name);
        if is_done(&found) {
            return found;
        }
        sleep(Duration::from_millis(20));
    }
    panic!("never done: {:?}", module(client, name));
}

/// Returns the blobs of a module of the gallery and of the one that misuses events.
fn beside_rogue(name: &str) -> [Vec<u8>; 2] {
    [gallery_blob(name), test_blob("rogue")].map(|path| fs::read(path).unwrap())
}

#[test]
fn what_misuses_events_harms_itself_alone() {
    let [ticker, rogue] = beside_rogue("ticker");
    with_kernel(
        |_| (),
        |client| {
            push(client, &ticker, Domain::Kernel, "ticker.interval_ms=10");
            for domain in Domain::ALL {
                for (misuse, fault) in
                    [(1, Some("time_budget")), (2, Some("panic")), (3, Some("time_budget")), (4, None), (5, None)]
                {
                    push(client, &rogue, domain, &format!("rogue.misuse={misuse}"));
                    let found = until(client, "rogue", |module| {
                        let handled = module.events.as_ref().map_or(0, |events| events.handled);
                        module.faults > 0 || handled > 100
                    });
                    let kind = found.fault.as_ref().map(|fault| fault.kind.to_string());
                    assert_eq!(kind.as_deref(), fault, "misuse {misuse} in the {} domain", domain.name());
                    let before = ticks(client);
                    sleep(Duration::from_millis(100));
                    assert!(ticks(client) > before, "misuse {misuse} stopped the others");
                    let unloaded = client.ask(Request::Unload { module: "rogue" });
                    assert!(matches!(unloaded, Ok(Response::Unloaded(_))), "{unloaded:?}");
                }
            }
        },
    );
}

#[test]
fn timers_go_on_while_a_call_runs_that_takes_long() {
    let [ticker, rogue] = beside_rogue("ticker");
    with_kernel(
        |_| (),
        |client| {
            push(client, &ticker, Domain::User, "ticker.interval_ms=10");
            for domain in Domain::ALL {
                push(client, &rogue, domain, "");
                let (before, start) = (ticks(client), Instant::now());
                let called = call(client, "rogue", &LONG.to_le_bytes());
                let (during, took) = (ticks(client) - before, start.elapsed());
                assert_eq!(called.result, 1);
                // The machine may stand still meanwhile, so not all of them were due.
                let due = took.as_millis() as i32 / 10;
                assert!(during > 1 && during > due / 4, "{during} ticks in {took:?}, in the {} domain", domain.name());
            }
        },
    );
}

#[test]
fn the_keeper_restarts_what_a_fault_stopped() {
    let [keeper, rogue] = beside_rogue("keeper");
    with_kernel(
        |_| (),
        |client| {
            let overrides =
                LoadOverrides { on_fault: Some("restart:0"), parameters: "rogue.misuse=2", ..LoadOverrides::default() };
            push_with(client, &rogue, overrides);
            push(client, &keeper, Domain::User, "keeper.keep=none,rogue\nkeeper.interval_ms=20");
            let found = until(client, "rogue", |module| module.restarts >= 3);
            assert!(found.faults >= found.restarts && call(client, "keeper.restarts", b"").result >= 3);
            assert_eq!(call(client, "keeper.failures", b"").result, 0);
        },
    );
}

#[test]
fn the_init_after_a_fault_has_the_time_of_an_init() {
    let [_, rogue] = beside_rogue("ticker");
    with_kernel(
        |_| (),
        |client| {
            for domain in Domain::ALL {
                let overrides = LoadOverrides {
                    domain: Some(domain.name()),
                    on_fault: Some("restart"),
                    parameters: "rogue.misuse=6",
                    ..LoadOverrides::default()
                };
                push_with(client, &rogue, overrides);
                until(client, "rogue", |module| module.restarts >= 3);
                assert!(matches!(client.ask(Request::Unload { module: "rogue" }), Ok(Response::Unloaded(_))));
            }
        },
    );
}
