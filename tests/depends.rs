//! Modules that call each other, on the host's platform and through the server.

mod common;

use bareflow_loader::{Budget, Domain, LoadOptions};
use bareflow_protocol::control::Refusal;
use bareflow_protocol::{Request, Response};
use common::fault_classes::{CLASSES, Expect};
use common::mutate::{Needs, depending, renamed, with_header};
use common::server::{Local, refusal};
use common::{other, test_blob};

fn bytes(module: &str) -> Vec<u8> {
    std::fs::read(test_blob(module)).unwrap()
}

fn local(domain: Domain) -> Local {
    Local::new(LoadOptions { domain, ..LoadOptions::default() })
}

/// Returns a relay with the given name, version 1.0.0 and dependencies.
fn relay(name: &str, needs: &[Needs<'_>]) -> Vec<u8> {
    depending(&renamed("relay", name, (1, 0, 0)), needs)
}

const fn any(name: &str) -> Needs<'_> {
    (name, (0, 0, 0), None)
}

fn from_one_to_two(name: &str) -> Needs<'_> {
    (name, (1, 0, 0), Some((2, 0, 0)))
}

/// Loads a blob into a domain.
#[track_caller]
fn load_into(local: &Local, domain: Domain, blob: &[u8]) {
    let answer = local.push(blob, |push| push.overrides.domain = Some(domain.name()));
    assert!(matches!(answer, Response::Loaded(_)), "{answer:?}");
}

/// Returns the result and the output of a call.
#[track_caller]
fn called(local: &Local, module: &str, input: &str) -> (i32, String) {
    let called = local.call(module, input.as_bytes());
    (called.result, String::from_utf8(called.output).unwrap())
}

fn unload(local: &Local, module: &str) -> Response {
    local.ask(Request::Unload { module })
}

#[test]
fn calls_what_its_cargo_toml_names() {
    for caller in Domain::ALL {
        for callee in Domain::ALL {
            let local = local(Domain::Kernel);
            load_into(&local, callee, &bytes("echo"));
            load_into(&local, caller, &bytes("relay"));
            assert_eq!(called(&local, "relay", "echo hello"), (5, "hello".to_owned()), "{caller:?} {callee:?}");
            assert_eq!(called(&local, "relay", "echo"), (0, String::new()));
            let long = "x".repeat(500);
            assert_eq!(called(&local, "relay", &format!("echo {long}")), (500, long));
            let (result, why) = called(&local, "relay", "sum hello");
            assert!(result == -101 && why.starts_with("not declared"), "{result} {why}");
            assert_eq!(called(&local, "relay", "No Name").0, -101);
        }
    }
}

#[test]
fn calls_reach_through_several_modules_but_not_too_many() {
    for first in Domain::ALL {
        let local = local(Domain::Kernel);
        load_into(&local, other(first), &bytes("echo"));
        let mut domain = first;
        for (name, on) in [("f", "echo"), ("e", "f"), ("d", "e"), ("c", "d"), ("b", "c"), ("a", "b")] {
            load_into(&local, domain, &relay(name, &[any(on)]));
            domain = other(domain);
        }
        assert_eq!(called(&local, "d", "e f echo hello"), (5, "hello".to_owned()));
        assert_eq!(called(&local, "c", "d e f echo hello"), (5, "hello".to_owned()));
        let (result, why) = called(&local, "b", "c d e f echo hello");
        assert!(result == -106 && why.starts_with("too deep"), "{result} {why}");
        assert_eq!(called(&local, "a", "b c d e f echo hello").0, -106);
        assert_eq!(called(&local, "c", "d e f echo hello"), (5, "hello".to_owned()));
    }
}

#[test]
fn a_reload_rebinds() {
    for domain in Domain::ALL {
        let local = local(domain);
        local.load(&renamed("echo", "work", (1, 0, 0)));
        local.load(&relay("relay", &[from_one_to_two("work")]));
        assert_eq!(called(&local, "relay", "work abc"), (3, "abc".to_owned()));
        // Another module of this name: the output is a different one.
        local.load(&renamed("heap", "work", (1, 1, 0)));
        assert_eq!(called(&local, "relay", "work").0, 1000);
        // The relay itself may be replaced as well.
        assert_eq!(local.load(&relay("relay", &[any("work")])).replaced.unwrap().receipt.unwrap().bindings, 1);
        assert_eq!(called(&local, "relay", "work").0, 1000);
    }
}

#[test]
fn refuses_what_is_missing_and_keeps_what_is_needed() {
    let local = local(Domain::Kernel);
    let error = refusal(local.push(&relay("first", &[from_one_to_two("work")]), |_| ()));
    assert!(error.contains("missing dependency: no version >=1.0.0, <2.0.0 of work is loaded"), "{error}");
    local.load(&renamed("echo", "work", (1, 0, 0)));
    local.load(&relay("first", &[from_one_to_two("work")]));
    local.load(&relay("second", &[any("work")]));
    let error = refusal(unload(&local, "work"));
    assert!(error.contains("needed: first calls work 1.0.0"), "{error}");
    assert!(error.contains("(needed by first 1.0.0, second 1.0.0)"), "{error}");
    let error = refusal(local.push(&renamed("echo", "work", (2, 0, 0)), |_| ()));
    assert!(error.contains("still needed: first calls the old one, and needs version >=1.0.0, <2.0.0"), "{error}");
    // It may be loaded beside the old one.
    assert!(matches!(local.push(&renamed("heap", "work", (2, 0, 0)), |push| push.beside = true), Response::Loaded(_)));
    assert!(matches!(local.ask(Request::Activate { module: "work@2.0.0" }), Response::Done));
    assert_eq!((called(&local, "first", "work x").0, called(&local, "second", "work").0), (1, 1000));
    for module in ["first", "work@1.0.0", "second", "work"] {
        let answer = unload(&local, module);
        assert!(matches!(answer, Response::Unloaded(_)), "{module}: {answer:?}");
    }
}

#[test]
fn refuses_a_circle_and_shows_it() {
    let local = local(Domain::Kernel);
    local.load(&renamed("echo", "a", (1, 0, 0)));
    local.load(&relay("b", &[any("a")]));
    local.load(&relay("c", &[any("b")]));
    let circle = depending(&renamed("relay", "a", (1, 1, 0)), &[any("c")]);
    for beside in [false, true] {
        let error = refusal(local.push(&circle, |push| push.beside = beside));
        assert!(error.contains("dependency cycle: by way of c") && error.contains("(a -> c -> b -> a)"), "{error}");
    }
    assert_eq!(called(&local, "c", "b a x"), (1, "x".to_owned()));
}

#[test]
fn a_callee_that_faults_is_its_own_fault() {
    for caller in Domain::ALL {
        for callee in Domain::ALL {
            let local = local(Domain::Kernel);
            load_into(&local, callee, &bytes("faults"));
            load_into(&local, caller, &relay("relay", &[any("faults")]));
            assert_eq!(called(&local, "relay", "faults good").0, 6765);
            for _ in 0..2 {
                let (result, why) = called(&local, "relay", "faults ud2");
                assert!(result == -104 && why.starts_with("faulted"), "{result} {why}");
            }
            let Response::Modules(modules) = local.ask(Request::Ps) else { panic!("no list") };
            let found: Vec<_> = modules.iter().map(|module| (module.name.as_str(), module.faults)).collect();
            assert_eq!(found, [("faults", 1), ("relay", 0)], "{caller:?} {callee:?}");
        }
    }
}

#[test]
fn each_call_has_its_own_time() {
    for caller in Domain::ALL {
        for callee in Domain::ALL {
            let local = local(Domain::Kernel);
            // The callee has 100 ms, and its caller 30.
            load_into(&local, callee, &bytes("faults"));
            let answer = local.push(&relay("relay", &[any("faults")]), |push| {
                push.overrides.domain = Some(caller.name());
                push.overrides.budget = Some(Budget {
                    time_us: 30_000,
                    stack_bytes: 64 << 10,
                    heap_bytes: 0,
                    data_bytes: 1 << 20,
                    memory_bytes: 1 << 20,
                });
            });
            assert!(matches!(answer, Response::Loaded(_)), "{answer:?}");
            assert_eq!(called(&local, "relay", "faults loop_forever").0, -104, "{caller:?} {callee:?}");
            let Response::Modules(modules) = local.ask(Request::Ps) else { panic!("no list") };
            let fault = modules[0].fault.as_ref().map(|fault| &*fault.kind);
            assert_eq!((fault, modules[1].faults), (Some("time_budget"), 0), "{caller:?} {callee:?}");
        }
    }
}

#[test]
fn a_module_that_does_nothing_but_call_has_a_budget() {
    for caller in Domain::ALL {
        for callee in Domain::ALL {
            let local = local(Domain::Kernel);
            load_into(&local, callee, &bytes("echo"));
            let answer = local.push(&bytes("relay"), |push| {
                push.overrides.domain = Some(caller.name());
                push.overrides.budget = Some(Budget {
                    time_us: 1_000,
                    stack_bytes: 64 << 10,
                    heap_bytes: 0,
                    data_bytes: 1 << 20,
                    memory_bytes: 1 << 20,
                });
            });
            assert!(matches!(answer, Response::Loaded(_)), "{answer:?}");
            let call = Request::Call { module: "relay", input: b"*echo x", repeat: 1 };
            let error = local.refused(call);
            assert!(error.contains("faulted: time_budget"), "{caller:?} {callee:?}: {error}");
            assert_eq!(called(&local, "echo", "x").0, 1);
        }
    }
}

#[test]
fn refuses_arguments_that_are_not_the_modules_own() {
    for domain in Domain::ALL {
        let local = local(domain);
        for class in CLASSES.iter().filter(|class| class.name.starts_with("call_")) {
            local.load(&bytes("faults"));
            let call = Request::Call { module: "faults", input: class.name.as_bytes(), repeat: 1 };
            match (class.kernel, local.ask(call)) {
                (Expect::Result(result), Response::Called(called)) => {
                    assert_eq!(called.result, result, "{}", class.name)
                }
                (Expect::Fault(kind), Response::Refused(Refusal { error, .. })) => {
                    assert!(error.contains(&format!("faulted: {kind} ")), "{domain:?} {}: {error}", class.name);
                }
                (expected, answer) => panic!("{domain:?} {}: {answer:?}, expected {expected:?}", class.name),
            }
        }
    }
}

#[test]
fn what_others_need_may_come_later_at_the_start() {
    let local = local(Domain::Kernel);
    let leak = |blob: Vec<u8>| -> &'static [u8] { blob.leak() };
    local.server.load_at_startup("c.mod", leak(relay("c", &[any("b")])));
    local.server.load_at_startup("b.mod", leak(relay("b", &[any("echo")])));
    local.server.load_at_startup("x.mod", leak(relay("x", &[any("y")])));
    local.server.load_at_startup("y.mod", leak(relay("y", &[any("x")])));
    local.server.load_at_startup("z.mod", leak(relay("z", &[any("x")])));
    assert_eq!(local.server.manager().ids().count(), 0);
    local.server.load_at_startup("echo.mod", leak(bytes("echo")));
    local.server.refuse_pending();
    assert_eq!(called(&local, "c", "b echo hi"), (2, "hi".to_owned()));
    let console = local.server.environment().console.borrow();
    for part in ["x.mod: dependency cycle: ", "(x -> y -> x)", "(y -> x -> y)", "z.mod: missing dependency: no version"]
    {
        assert!(console.contains(part), "{part}\n{console}");
    }
    assert_eq!(local.server.manager().ids().count(), 3);
}

#[test]
fn as_many_files_wait_at_the_start_as_may_and_no_more() {
    let local = local(Domain::Kernel);
    let leak = |blob: Vec<u8>| -> &'static [u8] { blob.leak() };
    let name = |number: usize| format!("r{number}");
    // Each waits for the next one, and the last one for the first: a cycle of as many as may wait.
    for number in 0..257 {
        let needed = name((number + 1) % 256);
        local.server.load_at_startup(&format!("{number}.mod"), leak(relay(&name(number), &[any(&needed)])));
    }
    let refused =
        "[ERROR] 256.mod: it needs r1 >=0.0.0, and 256 files wait for others already; load what is needed first";
    let said = |part: &str| local.server.environment().console.borrow().matches(part).count();
    assert_eq!((said("[ERROR]"), said(refused)), (1, 1));
    local.server.refuse_pending();
    assert_eq!((said("[ERROR]"), said("dependency cycle: ")), (257, 256));
    assert!(said("(r0 -> r1 -> r2 -> ") == 1 && said(" -> r254 -> r255 -> r0)\n") == 1);
    assert_eq!(local.server.manager().ids().count(), 0);
}

#[test]
fn no_more_modules_are_loaded_at_the_start_than_may_be() {
    let local = local(Domain::Kernel);
    let blob = bytes("relay");
    for number in 0..4097 {
        let blob = with_header(&blob, |header| {
            header.name = [0; 32];
            let name = format!("m{number}");
            header.name[..name.len()].copy_from_slice(name.as_bytes());
        });
        local.server.load_at_startup(&format!("{number}.mod"), depending(&blob, &[]).leak());
    }
    assert_eq!(local.server.manager().ids().count(), 4096);
    let console = local.server.environment().console.borrow();
    assert!(console.ends_with("[ERROR] 4096.mod: 4096 modules are loaded, and no more may be; unload some first\n"));
}
