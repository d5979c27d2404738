//! The ascent of portable modules through their tiers, by engines that hand over what they are given.

mod common;

use std::fs;

use bareflow_loader::portable::engine::WASM_MARK;
use bareflow_loader::{Domain, LoadOptions};
use bareflow_protocol::control::LoadOverrides;
use bareflow_protocol::report::Module;
use bareflow_protocol::tier::{Portable, Tier};
use bareflow_protocol::{Request, Response};
use bareflow_suite::load_defaults::LoadDefaults;
use common::kernel;
use common::mutate::{carrying, renamed, with_header};
use common::server::Local;
use common::test_blob;
use sham_engine::{BY_OPTIMIZATION, DAWDLES, HONEST, REFUSES};

/// Returns a server with both engines, where modules leave their tiers after so many calls.
fn server(portable: Portable) -> Local {
    let local = Local::new(LoadDefaults { portable, ..LoadDefaults::from(LoadOptions::DEFAULT) });
    for engine in ["interpreter", "compiler"] {
        local.load(&renamed("sham-engine", engine, (1, 0, 0)));
    }
    local
}

fn after(calls: [u64; 2]) -> Portable {
    Portable { calls: Some(calls), ..Portable::DEFAULT }
}

/// Returns the module `counter` with all of its data as an area that is carried.
fn counter() -> Vec<u8> {
    carrying(&fs::read(test_blob("counter")).unwrap())
}

/// Returns what the engines take for a program.
fn program(mode: u8, rest: &[u8]) -> Vec<u8> {
    [&WASM_MARK[..], &[mode], rest].concat()
}

/// Returns a program of which the quick code is the first blob, and the fast one the second.
fn two_programs(first: &[u8], second: &[u8]) -> Vec<u8> {
    program(BY_OPTIMIZATION, &[&(first.len() as u32).to_le_bytes(), first, second].concat())
}

fn stats(local: &Local, name: &str) -> Module {
    match local.ask(Request::Stats { module: Some(name) }) {
        Response::Modules(modules) => modules.into_iter().next().unwrap(),
        other => panic!("{other:?}"),
    }
}

/// Calls a module, and lets the server do what there is to do.
fn call(local: &Local, name: &str) -> i32 {
    let result = local.call(name, b"").result;
    // The server looks at what modules have cost from time to time alone.
    std::thread::sleep(std::time::Duration::from_millis(20));
    local.work();
    result
}

#[test]
fn a_module_goes_through_the_tiers_and_loses_no_call() {
    let local = server(after([2, 3]));
    local.load(&program(HONEST, &counter()));
    let found: Vec<_> = (0..7).map(|_| (call(&local, "counter"), stats(&local, "counter").tier)).collect();
    let tiers = [0, 1, 1, 1, 2, 2, 2];
    assert_eq!(found, (1..).zip(tiers).map(|(count, tier)| (count, Some(tier))).take(7).collect::<Vec<_>>());
    let ascent = stats(&local, "counter").ascent.unwrap();
    let steps: Vec<_> = ascent.switches.iter().map(|switch| (switch.from, switch.to, switch.calls)).collect();
    assert_eq!((steps, ascent.refused), (vec![(0, 1, 2), (1, 2, 3)], None));
    assert!(ascent.switches.iter().all(|switch| switch.compared == "results equal" && switch.compile_cycles > 0));
    // Nothing of the copies stays.
    assert_eq!(local.server.manager().ids().count(), 3);
}

#[test]
fn a_module_whose_results_would_differ_stays_and_says_why() {
    let local = server(after([1, 1]));
    let [sum, other] = ["sum", "primes"].map(|name| {
        with_header(&fs::read(common::blob(name)).unwrap(), |header| {
            header.name = [0; 32];
            header.name[..3].copy_from_slice(b"sum");
        })
    });
    local.load(&two_programs(&sum, &other));
    assert_eq!([0; 3].map(|_| call(&local, "sum")), [5050; 3]);
    let module = stats(&local, "sum");
    let refused = module.ascent.unwrap().refused.unwrap();
    assert_eq!((module.tier, &*refused), (Some(1), "results differ: 5050 and 168 in the new tier"));
    assert!(local.server.environment().console.borrow().contains(&refused));
    assert_eq!(local.server.manager().ids().count(), 3);
}

#[test]
fn a_module_that_an_engine_refuses_stays_and_is_called_on() {
    let local = server(after([1, 1]));
    // Both engines are the same one: what it takes at first, it takes later.
    local.load(&two_programs(&counter(), b"no blob"));
    assert_eq!([0; 3].map(|_| call(&local, "counter")), [1, 2, 3]);
    let module = stats(&local, "counter");
    assert_eq!(module.tier, Some(1));
    assert!(module.ascent.unwrap().refused.is_some_and(|reason| !reason.is_empty()));
    let error = common::server::refusal(local.push(&program(REFUSES, b""), |_| ()));
    assert!(error.contains("function 7 is not to its taste"), "{error}");
}

#[test]
fn a_fixed_tier_is_never_left() {
    let local = server(Portable { tier: Tier::Quick, ..after([1, 1]) });
    local.load(&program(HONEST, &counter()));
    assert_eq!(
        [0; 3].map(|_| (call(&local, "counter"), stats(&local, "counter").tier.unwrap())),
        [(1, 1), (2, 1), (3, 1)]
    );
    assert_eq!(stats(&local, "counter").ascent, None);
}

#[test]
fn a_module_that_costs_enough_is_compiled_to_fast_code() {
    let local = server(Portable::DEFAULT);
    local.load(&program(HONEST, &counter()));
    // It does next to nothing, and its compilation is expected to take millions of cycles.
    assert_eq!((call(&local, "counter"), stats(&local, "counter").tier), (1, Some(0)));
    let enough = 400_000;
    match local.ask(Request::Call { module: "counter", input: b"", repeat: enough }) {
        Response::Called(called) => assert_eq!(called.result, enough as i32 + 1),
        other => panic!("{other:?}"),
    }
    let next = call(&local, "counter");
    let module = stats(&local, "counter");
    assert_eq!((next, module.tier), (enough as i32 + 2, Some(2)));
    let switch = &module.ascent.unwrap().switches[0];
    assert!(switch.calls > u64::from(enough) && switch.cycles > 1_000_000, "{switch:?}");
}

#[test]
fn another_program_of_the_name_begins_anew() {
    let local = server(after([1, 1]));
    local.load(&program(HONEST, &counter()));
    assert_eq!([0; 3].map(|_| call(&local, "counter")), [1, 2, 3]);
    assert_eq!(stats(&local, "counter").tier, Some(2));
    let next = with_header(&counter(), |header| header.version_patch += 1);
    let loaded = local.load(&program(HONEST, &next));
    assert_eq!(loaded.state, "kept");
    assert_eq!((stats(&local, "counter").tier, stats(&local, "counter").ascent), (Some(0), None));
}

#[test]
fn calls_are_made_and_pushes_wait_while_an_engine_compiles() {
    kernel::with_kernel(
        |machine| machine.options.portable = after([1, 1]),
        |client| {
            for engine in ["interpreter", "compiler"] {
                kernel::push(client, &renamed("sham-engine", engine, (1, 0, 0)), Domain::User, "");
            }
            kernel::push(client, &program(DAWDLES, &counter()), Domain::User, "");
            let other = program(HONEST, &renamed("counter", "other", (1, 0, 0)));
            let mut calls_by_tier = [0; 3];
            for number in 1.. {
                assert_eq!(kernel::call(client, "counter", b"").result, number);
                let Ok(Response::Modules(modules)) = client.ask(Request::Stats { module: Some("counter") }) else {
                    panic!("it is loaded")
                };
                let tier = modules[0].tier.unwrap();
                calls_by_tier[usize::from(tier)] += 1;
                if tier == 2 {
                    break;
                }
                // The compilation of the fast code begins soon after the first call in tier 1, and takes as long as many calls.
                if calls_by_tier[1] > 0 && calls_by_tier[1] % 40 == 0 {
                    let overrides = LoadOverrides { tier: Some(Tier::Fast), ..LoadOverrides::default() };
                    kernel::push_with(client, &other, overrides);
                }
            }
            assert!(calls_by_tier[1] >= 40, "{calls_by_tier:?}");
            assert_eq!(kernel::call(client, "other", b"").result, 1);
        },
    );
}
