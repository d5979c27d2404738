//! The limits on what clients may send, keep and request.

mod common;

use std::time::{Duration, Instant};

use bareflow_loader::{Budget, Domain, LoadOptions};
use bareflow_protocol::comparison::{Condition, Conditions, Gate};
use bareflow_protocol::control::{LoadOverrides, MAX_WORD, Push, Refusal};
use bareflow_protocol::tier::Portable;
use bareflow_protocol::{Envelope, Request, Response, encode_frame};
use bareflow_suite::load_defaults::LoadDefaults;
use common::mutate::renamed;
use common::server::{Local, refusal};
use common::{blob, test_blob};

fn bytes(path: std::path::PathBuf) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

/// Returns a request's payload with the same fields as a push with a gate, with `count` conditions.
fn push_with_conditions(count: usize) -> Vec<u8> {
    let gate = Gate { conditions: Conditions::default(), over: 7, input: None };
    let push = bareflow_protocol::control::Push {
        label: "x",
        overrides: LoadOverrides::default(),
        beside: false,
        gate: Some(gate),
    };
    let payload = postcard(&Envelope { request_id: 1, request: Request::Push(push) });
    // The number of conditions, 0 here, comes before `over` and `input`.
    let (head, tail) = payload.split_at(payload.len() - 3);
    let one = postcard(&Condition::OutputsEqual);
    let mut count_bytes = Vec::new();
    let mut rest = count;
    while rest >= 0x80 {
        count_bytes.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    count_bytes.push(rest as u8);
    [head, &count_bytes, &one.repeat(count), &tail[1..]].concat()
}

fn postcard(value: &impl serde::Serialize) -> Vec<u8> {
    let mut frame = Vec::new();
    bareflow_protocol::write_frame(&mut frame, value, usize::MAX).unwrap();
    frame.split_off(12)
}

#[test]
fn rejects_more_conditions_than_a_gate_may_have() {
    let local = Local::new(LoadOptions::default());
    local.load(&bytes(blob("sum")));
    local.upload(&bytes(blob("sum")));
    local.server.receive(&encode_frame(&push_with_conditions(1_000_000)).unwrap());
    let answers = local.answers();
    let [(1, Response::Refused(Refusal { error, .. }))] = &answers[..] else { panic!("{answers:?}") };
    assert_eq!(error, "1000000 conditions, expected at most 16");
    assert_eq!(local.call("sum", b"").result, 5050);
}

#[test]
fn rejects_names_that_are_longer_than_any() {
    let local = Local::new(LoadOptions::default());
    local.load(&bytes(blob("sum")));
    let long = "\u{1}".repeat(1_000_000);
    for request in [
        Request::Stats { module: Some(&long) },
        Request::Call { module: &long, input: b"", repeat: 1 },
        Request::Unload { module: &long },
        Request::Ls { path: &long },
        Request::Load { path: &long, overrides: LoadOverrides::default() },
        Request::Compare { modules: ["sum", &long], input: b"", over: 1 },
    ] {
        let expected = format!("a name of 1000000 bytes, expected at most {MAX_WORD}; see `ps` and `ls`");
        assert_eq!(local.refused(request), expected);
    }
    for change in [
        LoadOverrides { domain: Some(&long), ..LoadOverrides::default() },
        LoadOverrides { on_fault: Some(&long), ..LoadOverrides::default() },
    ] {
        let answer = local.push(&bytes(blob("sum")), |push| push.overrides = change);
        assert!(refusal(answer).contains("expected at most 255"));
    }
    assert!(refusal(local.push(&bytes(blob("sum")), |push| push.label = &long)).contains("expected at most 255"));
}

#[test]
fn a_budget_of_a_client_stays_within_that_of_the_server() {
    let limits = Budget { time_us: 20_000, ..Budget::LIMITS };
    let local = Local::new(LoadOptions { limits, ..LoadOptions::default() });
    let overrides = Budget {
        time_us: u32::MAX,
        stack_bytes: u32::MAX,
        heap_bytes: u32::MAX,
        data_bytes: u32::MAX,
        memory_bytes: u32::MAX,
    };
    let answer = local.push(&bytes(test_blob("faults")), |push| push.overrides.budget = Some(overrides));
    assert!(matches!(answer, Response::Loaded(_)), "{answer:?}");
    let start = Instant::now();
    let error = local.refused(Request::Call { module: "faults", input: b"loop_forever", repeat: 1 });
    assert!(error.contains("faulted: time_budget"), "{error}");
    // Its header asks for 100 ms; without the limit, the client's 71 minutes would apply.
    assert!(start.elapsed() < Duration::from_secs(30));
    let Response::Modules(modules) = local.ask(Request::Ps) else { panic!("no list") };
    assert_eq!(modules[0].budget.time_us, 20_000);
}

#[test]
fn rejects_the_kernel_domain_where_the_server_is_for_ring_3() {
    let local = Local::new(LoadOptions { domain: Domain::User, ..LoadOptions::default() });
    let answer = local.push(&bytes(blob("sum")), |push| push.overrides.domain = Some("kernel"));
    assert!(refusal(answer).contains("expected user: this kernel was started for modules of ring 3"));
    assert!(matches!(
        local.push(&bytes(blob("sum")), |push| push.overrides.domain = Some("user")),
        Response::Loaded(_)
    ));
}

#[test]
fn rejects_the_kernel_domain_where_the_server_is_for_what_nobody_trusts() {
    let load = LoadOptions { domain: Domain::Sandbox, ..LoadOptions::default() };
    let portable = Portable { engine_domain: Domain::Kernel, ..Portable::DEFAULT };
    let local = Local::new(LoadDefaults { load, portable, ..LoadDefaults::default() });
    let answer = local.push(&bytes(blob("sum")), |push| push.overrides.domain = Some("kernel"));
    assert!(
        refusal(answer).contains("expected user or sandbox: this kernel was started for modules that are not trusted")
    );
    // Neither native code nor an engine that a client brings along has the kernel's privileges.
    for (bytes, name) in [(bytes(blob("sum")), "sum"), (bytes(test_blob("sham-engine")), "sham-engine")] {
        assert!(matches!(local.push(&bytes, |_| ()), Response::Loaded(_)));
        let Response::Modules(modules) = local.ask(Request::Stats { module: Some(name) }) else { panic!("no list") };
        assert_eq!(&*modules[0].domain, "user", "{name}");
    }
}

#[test]
fn rejects_requests_beyond_those_of_one_client_that_may_wait() {
    let local = Local::new(LoadOptions::default());
    local.load(&bytes(blob("sum")));
    let input = vec![7; 1 << 20];
    let call = |number: u64, input| {
        let request = Request::Call { module: "sum", input, repeat: 1 };
        local.server.receive(&Envelope { request_id: number, request }.to_frame());
    };
    (1..=4).for_each(|number| call(1 << 32 | number, &input));
    assert!(local.answers().is_empty());
    call(1 << 32 | 5, &input);
    let answers = local.answers();
    let [(_, Response::Refused(Refusal { error, .. }))] = &answers[..] else { panic!("{answers:?}") };
    assert!(error.contains("4194304 bytes of input of this client wait already"), "{error}");
    (6..=65).for_each(|number| call(1 << 32 | number, &[]));
    assert!(local.answers().is_empty());
    call(1 << 32 | 66, &[]);
    let answers = local.answers();
    let [(_, Response::Refused(Refusal { error, .. }))] = &answers[..] else { panic!("{answers:?}") };
    assert!(error.contains("64 requests of this client wait already"), "{error}");
    // Requests of another client are accepted.
    call(2 << 32 | 1, &input);
    assert!(local.answers().is_empty());
    while local.server.poll() {}
    assert_eq!(local.answers().iter().filter(|(_, answer)| matches!(answer, Response::Called(_))).count(), 65);
}

#[test]
fn rejects_to_take_the_place_of_a_module_it_was_not_compared_with() {
    let local = Local::new(LoadOptions::default());
    local.load(&renamed("echo", "work", (1, 0, 0)));
    // The comparison has begun; now another client replaces the module it is compared with.
    let conditions = Condition::parse_all("outputs-equal").unwrap();
    let gate = Gate { conditions, over: 1000, input: Some(b"in") };
    local.upload(&renamed("echo", "work", (1, 1, 0)));
    let push = Push { label: "x", overrides: LoadOverrides::default(), beside: false, gate: Some(gate) };
    local.server.receive(&Envelope { request_id: 7, request: Request::Push(push) }.to_frame());
    local.load(&renamed("echo", "work", (1, 5, 0)));
    while local.server.poll() {}
    let answers = local.answers();
    let Some((7, Response::Refused(Refusal { error, .. }))) = answers.last() else { panic!("{answers:?}") };
    assert!(error.contains("was replaced or unloaded meanwhile"), "{error}");
    let Response::Modules(modules) = local.ask(Request::Ps) else { panic!("no list") };
    assert_eq!((modules.len(), modules[0].version.as_str()), (1, "1.5.0"));
}

#[test]
fn rejects_ratios_that_are_none() {
    let local = Local::new(LoadOptions::default());
    local.load(&renamed("echo", "work", (1, 0, 0)));
    for ratio in [f64::NAN, f64::INFINITY, 0.0, -1.0] {
        let figure = bareflow_protocol::comparison::Figure::P50;
        let conditions = [Condition::AtMost { figure, ratio }].into_iter().collect();
        let gate = Gate { conditions, over: 10, input: None };
        let answer = local.push(&renamed("echo", "work", (1, 1, 0)), |push| push.gate = Some(gate));
        assert!(refusal(answer).contains("expected a ratio above 0"), "{ratio}");
    }
}
