//! The server, with real modules on the host's platform.

mod common;

use bareflow_abi::Header;
use bareflow_loader::{Domain, LoadOptions};
use bareflow_protocol::comparison::{Condition, Gate};
use bareflow_protocol::control::CONTROL_VERSION;
use bareflow_protocol::{Request, Response};
use common::mutate::{renamed, with_header};
use common::server::{Local, refusal};
use common::{blob, random, test_blob};

fn bytes(path: std::path::PathBuf) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

fn local(domain: Domain) -> Local {
    Local::new(LoadOptions { domain, ..LoadOptions::default() })
}

#[test]
fn loads_calls_replaces_and_unloads() {
    for domain in Domain::ALL {
        let local = local(domain);
        assert!(matches!(local.ask(Request::Hello), Response::Welcome { control: CONTROL_VERSION, .. }));
        let first = local.load(&bytes(blob("sum")));
        assert_eq!((first.generation, first.active, first.replaced), (1, true, None));
        let Response::Called(called) = local.ask(Request::Call { module: "sum", input: &[], repeat: 1000 }) else {
            panic!("not called")
        };
        assert_eq!((called.calls, called.result, called.results), (1000, 5050, vec![(5050, 1000)]));
        let second = local.load(&with_header(&bytes(blob("sum")), |header| header.version_minor = 2));
        let replaced = second.replaced.unwrap();
        assert_eq!((second.version.as_str(), second.generation, replaced.generation), ("0.2.0", 2, 1));
        assert_eq!(replaced.receipt.unwrap().call_count, 1000);
        let Response::Modules(modules) = local.ask(Request::Ps) else { panic!("no list") };
        assert_eq!((modules.len(), modules[0].generation, &*modules[0].domain), (1, 2, domain.name()));
        let Response::Unloaded(receipt) = local.ask(Request::Unload { module: "sum" }) else { panic!("loaded") };
        assert_eq!((receipt.generation, receipt.call_count, receipt.exit_fault), (2, 0, None));
        assert!(local.refused(Request::Unload { module: "sum" }).contains("no module of that name"));
    }
}

#[test]
fn no_call_sees_what_another_one_wrote() {
    for domain in Domain::ALL {
        let local = local(domain);
        local.load(&bytes(blob("sum")));
        local.load(&bytes(test_blob("echo")));
        local.load(&bytes(test_blob("faults")));
        // One module writes and claims its output; another one fills all of it and claims nothing; then that one claims
        // all of it.
        assert_eq!(local.call("echo", &[0xa5; 64]).output, [0xa5; 64], "{domain:?}");
        for before in [b"output_length_max", &b"output_unclaimed"[..]] {
            assert_eq!(local.call("faults", before).result, 0, "{domain:?}");
            assert_eq!(local.call("sum", b"").result, 5050);
            let claimed = local.call("faults", b"output_length_max").output;
            assert_eq!(claimed.len(), 256 << 10, "{domain:?}");
            let own = domain == Domain::User && before == b"output_unclaimed";
            assert!(claimed.iter().all(|&byte| byte == 0) || own, "{domain:?}");
        }
    }
}

#[test]
fn refuses_what_can_not_be_and_changes_nothing() {
    let local = local(Domain::Kernel);
    local.load(&bytes(blob("sum")));
    let torn = &bytes(blob("primes"))[..200];
    assert!(refusal(local.push(torn, |_| ())).contains("bytes"));
    assert!(refusal(local.push(&bytes(blob("sum")), |push| push.beside = true)).contains("already loaded: sum"));
    let wrong = refusal(local.push(&bytes(blob("sum")), |push| push.overrides.domain = Some("ring0")));
    assert!(wrong.contains("expected kernel, user or sandbox"), "{wrong}");
    let wrong = refusal(local.push(&bytes(blob("sum")), |push| push.overrides.on_fault = Some("pray")));
    assert!(wrong.contains("expected stop, restart, restart:N, fallback"), "{wrong}");
    for (module, error) in [("Sum", "no name"), ("nothing", "no module"), ("sum@^9", "none of such a version")] {
        let call = Request::Call { module, input: &[], repeat: 1 };
        assert!(local.refused(call).contains(error), "{module}");
    }
    assert!(local.refused(Request::Call { module: "sum", input: &[], repeat: 0 }).contains("0 calls"));
    let Response::Modules(modules) = local.ask(Request::Ps) else { panic!("no list") };
    assert_eq!((modules.len(), modules[0].generation, local.call("sum", b"").result), (1, 1, 5050));
}

#[test]
fn a_state_outlives_reloads_up_and_down() {
    for domain in Domain::ALL {
        let local = local(domain);
        let count = |input: &[u8]| local.call("counter", input).result;
        assert_eq!(local.load(&renamed("counter", "counter", (1, 0, 0))).state, "none");
        assert_eq!((count(b"a"), count(b"bc")), (1, 2));
        for minor in [3, 1, 2] {
            assert_eq!(local.load(&renamed("counter", "counter", (1, minor, 0))).state, "kept");
        }
        let called = local.call("counter", b"def");
        assert_eq!((called.result, &called.output[..12]), (3, &[3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0][..]));
        assert_eq!(local.load(&renamed("counter-next", "counter", (2, 0, 0))).state, "migrated");
        let called = local.call("counter", b"");
        assert_eq!((called.result, called.output), (4, [1_u32, 2, 0].map(u32::to_le_bytes).concat()));
    }
}

#[test]
fn a_state_that_can_not_be_taken_over_stays_where_it_is() {
    let local = local(Domain::Kernel);
    local.load(&renamed("counter", "counter", (1, 0, 0)));
    local.call("counter", b"");
    let error = refusal(local.push(&renamed("counter-other", "counter", (2, 0, 0)), |_| ()));
    for part in ["2.0.0 has other fields than that of 1.0.0", "calls: u64 (8 bytes)  <- only here", "number: u64"] {
        assert!(error.contains(part), "{part}\n{error}");
    }
    assert!(!error.contains("lengths: [u32; 4] (16 bytes)  <-"), "{error}");
    let error = refusal(local.push(&renamed("echo", "counter", (2, 0, 0)), |_| ()));
    assert!(error.contains("it would be lost") && error.contains("new state: none"), "{error}");
    // A `migrate` that refuses.
    local.load(&renamed("echo", "echo", (1, 0, 0)));
    assert_eq!(local.call("counter", b"").result, 2);
    // After a fault, the state is not worth keeping.
    let fault = Request::Call { module: "counter", input: b"fault", repeat: 1 };
    assert!(local.refused(fault).contains("faulted: panic"));
    assert_eq!(local.load(&renamed("counter", "counter", (1, 0, 0))).state, "lost");
    assert_eq!(local.call("counter", b"").result, 1);
}

#[test]
fn what_a_module_leaks_is_named() {
    for domain in Domain::ALL {
        let local = local(domain);
        local.load(&bytes(test_blob("heap")));
        assert_eq!((local.call("heap", b"").result, local.call("heap", b"leak").result), (1000, 0));
        let Response::Unloaded(receipt) = local.ask(Request::Unload { module: "heap" }) else { panic!("loaded") };
        assert_eq!((receipt.leaked_blocks, receipt.leaked_bytes), (3, 300));
    }
}

#[test]
fn versions_live_side_by_side_and_are_compared() {
    let local = local(Domain::Kernel);
    local.load(&renamed("echo", "work", (1, 2, 0)));
    for (module, version) in [("echo", (1, 9, 0)), ("heap", (2, 0, 0))] {
        let answer = local.push(&renamed(module, "work", version), |push| push.beside = true);
        assert!(matches!(&answer, Response::Loaded(loaded) if !loaded.active), "{answer:?}");
    }
    assert_eq!(local.call("work", b"x").version, "1.2.0");
    assert_eq!(local.call("work@^1", b"x").version, "1.9.0");
    assert_eq!(local.call("work@2.0.0", b"").result, 1000);
    let compare = |second: &str| {
        let modules = ["work@1.2.0", second];
        match local.ask(Request::Compare { modules, input: b"input", over: 50 }) {
            Response::Compared(comparison) => comparison,
            other => panic!("{other:?}"),
        }
    };
    let same = compare("work@1.9.0");
    assert!(same.outputs_equal && same.difference.is_none());
    assert!(
        same.sides
            .iter()
            .all(|side| side.measurements == 50 && side.cycles.is_sorted_by(|a, b| a <= b || *b == side.cycles[2]))
    );
    for side in &same.sides {
        assert_eq!(side.histogram.iter().map(|class| class.count).sum::<u32>(), 50);
    }
    let other = compare("work@^2");
    assert_eq!(other.difference.as_deref(), Some("results 5 and 1000"));
    assert!(other.ratios[1].is_some_and(|ratio| ratio > 2.0), "{:?}", other.ratios);
    assert!(matches!(local.ask(Request::Activate { module: "work@2.0.0" }), Response::Done));
    assert_eq!(local.call("work", b"").version, "2.0.0");
}

fn gated(local: &Local, blob: &[u8], conditions: &str, input: Option<&[u8]>) -> Response {
    let conditions = Condition::parse_all(conditions).unwrap();
    let gate = Gate { conditions, over: 100, input };
    local.push(blob, |push| push.gate = Some(gate))
}

#[test]
fn a_gate_lets_in_what_proves_itself() {
    let local = local(Domain::Kernel);
    local.load(&renamed("echo", "work", (1, 0, 0)));
    local.call("work", b"the last input");
    let answer = gated(&local, &renamed("echo", "work", (1, 1, 0)), "p50<=3,outputs-equal", None);
    let Response::Loaded(loaded) = answer else { panic!("{answer:?}") };
    let verdict = loaded.verdict.unwrap();
    assert!(verdict.passed && verdict.conditions.iter().all(|condition| condition.held), "{verdict:?}");
    assert_eq!((local.call("work", b"").version, loaded.replaced.unwrap().version), ("1.1.0".into(), "1.0.0".into()));
    let Response::Modules(modules) = local.ask(Request::Ps) else { panic!("no list") };
    assert_eq!(modules.len(), 1, "no copy stays behind");
}

#[test]
fn a_gate_keeps_out_what_does_not() {
    let local = local(Domain::Kernel);
    local.load(&renamed("echo", "work", (1, 0, 0)));
    let answer = gated(&local, &renamed("heap", "work", (2, 0, 0)), "p50<=1.05,outputs-equal", Some(b"input"));
    let Response::GateFailed(verdict) = answer else { panic!("{answer:?}") };
    let found: Vec<_> = verdict.conditions.iter().map(|condition| condition.found.as_str()).collect();
    assert!(found[0].contains("cycles above the") && found[1] == "results 5 and 1000", "{found:?}");
    // A candidate that faults does not reach any client.
    let answer = gated(&local, &renamed("panics", "work", (2, 0, 0)), "outputs-equal", None);
    let Response::GateFailed(verdict) = answer else { panic!("{answer:?}") };
    assert!(
        verdict.comparison.sides[1].fault.as_ref().is_some_and(|fault| fault.contains("the new one faulted: panic"))
    );
    let Response::Modules(modules) = local.ask(Request::Ps) else { panic!("no list") };
    assert_eq!((modules.len(), modules[0].faults, local.call("work", b"x").version.as_str()), (1, 0, "1.0.0"));
}

#[test]
fn a_gate_hands_the_state_over_as_it_is_then() {
    let local = local(Domain::Kernel);
    local.load(&renamed("counter", "counter", (1, 0, 0)));
    (0..5).for_each(|_| assert!(local.call("counter", b"").result > 0));
    let answer = gated(&local, &renamed("counter", "counter", (1, 1, 0)), "outputs-equal", None);
    assert!(matches!(&answer, Response::Loaded(loaded) if loaded.state == "kept"), "{answer:?}");
    assert_eq!(local.call("counter", b"").result, 6, "the calls of the trial count for nobody");
}

#[test]
fn a_client_that_leaves_takes_its_work_along() {
    let local = local(Domain::Kernel);
    local.load(&bytes(blob("sum")));
    let call = Request::Call { module: "sum", input: &[], repeat: u32::MAX };
    let asked = bareflow_protocol::Envelope { request_id: 7 << 32 | 1, request: call };
    local.server.receive(&asked.to_frame());
    assert!(local.server.poll());
    let goodbye = bareflow_protocol::Envelope { request_id: 7 << 32 | 2, request: Request::Goodbye };
    local.server.receive(&goodbye.to_frame());
    assert!(!local.server.poll(), "nothing is left to do");
}

#[test]
fn a_thousand_modules_are_called() {
    let local = local(Domain::Kernel);
    let sum = bytes(blob("sum"));
    let rename = |number: usize| {
        with_header(&sum, |header: &mut Header| {
            header.name = [0; 32];
            let name = format!("sum-{number}");
            header.name[..name.len()].copy_from_slice(name.as_bytes());
        })
    };
    (0..1000).for_each(|number| assert!(local.load(&rename(number)).active));
    assert!((0..1000).all(|number| local.call(&format!("sum-{number}"), b"").result == 5050));
    for number in 0..1000 {
        let module = format!("sum-{number}");
        assert!(matches!(local.ask(Request::Unload { module: &module }), Response::Unloaded(_)));
    }
    let Response::Modules(modules) = local.ask(Request::Ps) else { panic!("no list") };
    assert!(modules.is_empty());
}

#[test]
fn a_million_random_messages_change_nothing() {
    let local = local(Domain::Kernel);
    local.load(&bytes(blob("sum")));
    let mut next = random(1);
    for _ in 0..1_000_000 {
        let payload: Vec<u8> = (0..next() % 12).map(|_| next() as u8).collect();
        // A shutdown request would be carried out.
        if bareflow_protocol::Envelope::from_payload(&payload).is_ok_and(|asked| asked.request == Request::Shutdown) {
            continue;
        }
        let mut bytes = bareflow_protocol::encode_frame(&payload).unwrap();
        if next().is_multiple_of(4) {
            let place = next() as usize % bytes.len();
            bytes[place] = next() as u8;
        }
        local.server.receive(&bytes);
        if next().is_multiple_of(1024) {
            local.answers();
        }
    }
    // A frame that was cut short may still wait for its rest.
    local.server.receive(&vec![0; bareflow_protocol::control::MAX_REQUEST + 64]);
    while local.server.poll() {}
    local.answers();
    assert_eq!(local.call("sum", b"").result, 5050);
}

#[test]
fn clients_are_heard_between_the_last_measurement_and_its_figures() {
    let local = local(Domain::Kernel);
    local.load(&renamed("echo", "one", (1, 0, 0)));
    local.load(&renamed("echo", "other", (1, 0, 0)));
    let compare = Request::Compare { modules: ["one", "other"], input: b"x", over: 3 };
    local.server.receive(&bareflow_protocol::control::Envelope { request_id: 1000, request: compare }.to_frame());
    // Two turns where a slice takes no longer than it may, and more on a busy machine.
    let (mut turns, mut answers) = (0, Vec::new());
    while answers.is_empty() {
        assert!(local.server.poll());
        turns += 1;
        answers = local.answers();
        answers.retain(|(_, answer)| !matches!(answer, Response::Progress { .. }));
        assert!(turns > 1 || answers.is_empty(), "measured, put in order and answered in one turn");
        if answers.is_empty() {
            assert!(matches!(local.ask(Request::Ps), Response::Modules(_)));
        }
    }
    let [(1000, Response::Compared(comparison))] = &answers[..] else { panic!("{answers:?}") };
    assert_eq!(comparison.sides.each_ref().map(|side| side.measurements), [3, 3]);
}

/// Returns the state of a module for people, its restarts, and whether it waits.
fn state(local: &Local, module: &str) -> (String, u32, bool) {
    let Response::Modules(modules) = local.ask(Request::Stats { module: Some(module) }) else { panic!("no list") };
    let [module] = &modules[..] else { panic!("{modules:?}") };
    let waits = module.supervision.as_ref().is_some_and(|supervision| supervision.starts_in_ms.is_some());
    (module.shown_state().to_string(), module.restarts, waits)
}

#[test]
fn a_module_that_faults_waits_and_starts_again() {
    for domain in Domain::ALL {
        let local = local(domain);
        let policy = "backoff:100ms..1s,2/60s";
        local.push(&renamed("counter", "counter", (1, 0, 0)), |push| push.overrides.on_fault = Some(policy));
        let fault = || local.refused(Request::Call { module: "counter", input: b"fault", repeat: 1 });
        for restarts in 0..2 {
            assert_eq!(local.call("counter", b"").result, 1);
            assert!(fault().contains("faulted: panic"));
            let waiting = local.refused(Request::Call { module: "counter", input: b"", repeat: 1 });
            assert!(waiting.contains("waiting: an earlier call faulted (panic)"), "{waiting}");
            let (shown, count, waits) = state(&local, "counter");
            assert!(shown.starts_with("waiting ") && shown.ends_with(" ms") && waits, "{shown}");
            assert_eq!(count, restarts);
            while state(&local, "counter").2 {
                assert!(!local.server.poll());
            }
            assert_eq!(state(&local, "counter"), ("loaded".to_owned(), restarts + 1, false));
        }
        assert!(fault().contains("faulted: panic"));
        assert_eq!(state(&local, "counter"), ("faulted".to_owned(), 2, false));
        assert!(!local.server.poll());
        let console = local.server.environment().console.borrow();
        for line in [
            "[WARN] counter 1.0.0 faulted (panic at offset 0x",
            "[OK] counter 1.0.0 was restarted\n",
            ") and stays stopped\n",
        ] {
            assert!(console.contains(line), "{line}\n{console}");
        }
    }
}

#[test]
fn a_version_that_faults_gives_way_to_the_one_before() {
    for domain in Domain::ALL {
        let local = local(domain);
        // The loader did not keep it, since its policy is `stop`.
        local.load(&renamed("counter", "counter", (1, 2, 0)));
        local.call("counter", b"");
        local.push(&renamed("counter", "counter", (1, 3, 0)), |push| push.overrides.on_fault = Some("fallback"));
        assert_eq!(local.call("counter", b"").result, 2);
        assert!(local.refused(Request::Call { module: "counter", input: b"fault", repeat: 1 }).contains("panic"));
        assert!(!local.server.poll());
        assert_eq!(state(&local, "counter").0, "loaded, fell back from 1.3.0");
        assert_eq!(local.call("counter", b"").version, "1.2.0");
        let Response::Modules(modules) = local.ask(Request::Ps) else { panic!("no list") };
        let supervision = modules[0].supervision.clone().unwrap();
        assert_eq!((supervision.on_fault.as_str(), supervision.previous), ("fallback", None));
        assert_eq!(supervision.fell_back_for.map(|fault| fault.kind), Some("panic".into()));
        // A restart on purpose keeps what it is, and begins its state anew.
        assert!(matches!(local.ask(Request::Restart { module: "counter" }), Response::Done));
        assert_eq!(local.call("counter", b"").result, 1);
    }
}

#[test]
fn restarts_modules_on_purpose() {
    for domain in Domain::ALL {
        let local = local(domain);
        local.load(&renamed("counter", "counter", (1, 0, 0)));
        assert_eq!((local.call("counter", b"").result, local.call("counter", b"").result), (1, 2));
        let restart = Request::Restart { module: "counter" };
        assert!(matches!(local.ask(restart), Response::Done));
        assert_eq!(local.call("counter", b"").result, 1);
        assert!(local.refused(Request::Call { module: "counter", input: b"fault", repeat: 1 }).contains("panic"));
        assert!(matches!(local.ask(restart), Response::Done));
        assert_eq!((local.call("counter", b"").result, state(&local, "counter").1), (1, 2));
        assert!(local.refused(Request::Restart { module: "nothing" }).contains("no module of that name"));
    }
}
