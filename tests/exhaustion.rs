//! Memory that runs out at every allocation.
//!
//! For every request, the first, the second, and so on to the last allocation fails. Each time the response is a typed
//! refusal, everything is as before, and no memory is lost. This follows SQLite's tests of memory that runs out
//! (<https://www.sqlite.org/malloc.html#testing>).
//!
//! An allocation that can't report failure would end this process, which reveals it.

mod common;
#[path = "common/failing.rs"]
mod failing;

use bareflow_loader::{BindError, Domain, LoadOptions};
use bareflow_protocol::comparison::{Condition, Gate};
use bareflow_protocol::control::{Envelope, LoadOverrides, Push, Refusal};
use bareflow_protocol::{Request, Response};
use common::mutate::renamed;
use common::server::Local;
use common::{blob, test_blob};
use failing::{BYTES, LEFT};
use kinds_interface::Kinds;

fn bytes(path: std::path::PathBuf) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

/// Makes a server with modules of all kinds.
fn server(domain: Domain) -> Local {
    let local = Local::new(LoadOptions { domain, ..LoadOptions::default() });
    for blob in [bytes(blob("sum")), bytes(test_blob("echo")), bytes(test_blob("heap")), bytes(test_blob("faults"))] {
        local.load(&blob);
    }
    local.load(&renamed("counter", "counter", (1, 0, 0)));
    // The calls create each module's measurements, which are then no longer allocated.
    for module in ["counter", "echo", "sum", "heap"] {
        local.call(module, b"input");
    }
    local
}

/// Returns the state: each module with its load.
fn state(local: &Local) -> Vec<String> {
    let Response::Modules(modules) = local.ask(Request::Ps) else { panic!("no list") };
    modules.iter().map(|m| format!("{} {} {} {} {}", m.name, m.version, m.generation, m.state, m.active)).collect()
}

/// Makes each allocation of `request` fail, one per round, until the response is not a lack of memory.
///
/// `before` runs before each round. It undoes the previous round if that succeeded although an allocation failed,
/// because the server could do without it.
#[track_caller]
fn exhaust(local: &Local, request: Request<'_>, before: impl Fn(&Local)) -> (Response, u64) {
    let before_all = state(local);
    local.reserve();
    for allowed in 0..100_000 {
        before(local);
        let frame = local.frame(request);
        let held = BYTES.get();
        LEFT.set(Some(allowed));
        local.hear(&frame);
        let failed = LEFT.replace(None).is_none();
        let answer = local.last_answer();
        if !failed {
            return (answer, allowed);
        }
        match &answer {
            Response::Refused(Refusal { error, .. }) => {
                assert!(error.contains("memory"), "{request:?}, allocation {allowed}: {error}");
                assert_eq!(state(local), before_all, "{request:?}, allocation {allowed}");
            }
            // The server could do without what the allocation was for.
            _ => continue,
        }
        drop(answer);
        let lost = BYTES.get() - held;
        assert!(lost <= 0, "{request:?}, allocation {allowed}: {lost} bytes are lost");
    }
    panic!("{request:?}: there is no end of allocations");
}

#[test]
fn what_only_looks() {
    for domain in Domain::ALL {
        let local = server(domain);
        let _ = local.ask(Request::Call { module: "faults", input: b"ud2", repeat: 1 });
        for request in [
            Request::Hello,
            Request::Ps,
            Request::Memory,
            Request::Stats { module: None },
            Request::Stats { module: Some("faults") },
            Request::Stats { module: Some("sum@^0.1") },
            Request::Stats { module: Some("nobody@^0.1") },
            Request::Ls { path: "/modules" },
            Request::Save { module: "sum" },
            Request::Activate { module: "sum" },
        ] {
            let (answer, allocations) = exhaust(&local, request, |_| ());
            println!("{domain:?} {}: {allocations} allocations", name(&request));
            drop(answer);
        }
    }
}

#[test]
fn calls_and_comparisons() {
    for domain in Domain::ALL {
        let local = server(domain);
        for request in [
            Request::Call { module: "sum", input: b"", repeat: 3 },
            Request::Call { module: "echo", input: b"another input", repeat: 1 },
            Request::Call { module: "heap", input: b"", repeat: 1 },
            Request::Compare { modules: ["sum", "echo"], input: b"in", over: 5 },
        ] {
            let (answer, allocations) = exhaust(&local, request, |_| ());
            println!("{domain:?} {}: {allocations} allocations", name(&request));
            assert!(matches!(answer, Response::Called(_) | Response::Compared(_)), "{answer:?}");
        }
    }
}

#[test]
fn a_fault_and_what_is_known_of_it() {
    for domain in Domain::ALL {
        let local = server(domain);
        for input in ["ud2", "panic_words", "panic_formatted", "array_bounds"] {
            let request = Request::Call { module: "faults", input: input.as_bytes(), repeat: 1 };
            let reload = |local: &Local| {
                let _ = local.ask(Request::Unload { module: "faults" });
                local.load(&bytes(test_blob("faults")));
            };
            // Each round counts as a load, so the state differs from the one at the start.
            let frame_of = |local: &Local| local.frame(request);
            for allowed in 0..100_000 {
                reload(&local);
                local.reserve();
                let frame = frame_of(&local);
                LEFT.set(Some(allowed));
                local.hear(&frame);
                let failed = LEFT.replace(None).is_none();
                let answer = local.last_answer();
                let Response::Refused(Refusal { error, .. }) = &answer else { panic!("{answer:?}") };
                assert!(error.contains("memory") || error.contains("faulted"), "{input} {allowed}: {error}");
                if !failed {
                    assert!(error.contains("faulted"), "{error}");
                    break;
                }
            }
        }
    }
}

#[test]
fn loads_reloads_and_unloads() {
    for domain in Domain::ALL {
        let local = server(domain);
        let (sum, next) = (renamed("echo", "fresh", (1, 0, 0)), renamed("counter-next", "counter", (2, 0, 0)));
        let push =
            |beside| Request::Push(Push { label: "x.mod", overrides: LoadOverrides::default(), beside, gate: None });
        // A new module and one beside it, which are then unloaded again.
        let (answer, first) = exhaust(&local, push(false), |local| {
            let _ = local.ask(Request::Unload { module: "fresh" });
            local.upload(&sum);
        });
        assert!(matches!(answer, Response::Loaded(_)), "{answer:?}");
        let other = renamed("echo", "fresh", (3, 0, 0));
        let (answer, second) = exhaust(&local, push(true), |local| {
            let _ = local.ask(Request::Unload { module: "fresh@3.0.0" });
            local.upload(&other);
        });
        assert!(matches!(answer, Response::Loaded(_)), "{answer:?}");
        let (answer, unloads) = exhaust(&local, Request::Unload { module: "fresh@3.0.0" }, |_| ());
        assert!(matches!(answer, Response::Unloaded(_)), "{answer:?}");
        // State that is migrated.
        let (answer, reload) = exhaust(&local, push(false), |local| {
            assert_eq!(local.call("counter", b"").version, "1.0.0", "reloaded though memory ran out");
            local.upload(&next);
        });
        let Response::Loaded(loaded) = &answer else { panic!("{answer:?}") };
        assert_eq!(loaded.state, "migrated");
        // The counter has counted the calls of each round, and this one.
        assert_eq!(i64::from(local.call("counter", b"").result), reload as i64 + 3);
        // A gate.
        let conditions = Condition::parse_all("outputs-equal").unwrap();
        let gate = Some(Gate { conditions, over: 5, input: Some(b"in") });
        let gated = Request::Push(Push { label: "x.mod", overrides: LoadOverrides::default(), beside: false, gate });
        let (answer, gate) = exhaust(&local, gated, |local| local.upload(&renamed("echo", "echo", (9, 0, 0))));
        assert!(matches!(answer, Response::Loaded(_)), "{answer:?}");
        println!(
            "{domain:?}: load {first}, beside {second}, unload {unloads}, reload with state {reload}, gate {gate} allocations"
        );
    }
}

#[test]
fn restarts() {
    for domain in Domain::ALL {
        let local = server(domain);
        // Makes room for notices, which stays.
        assert!(matches!(local.ask(Request::Restart { module: "counter" }), Response::Done));
        let (answer, on_purpose) = exhaust(&local, Request::Restart { module: "counter" }, |_| ());
        assert!(matches!(answer, Response::Done), "{answer:?}");
        assert_eq!(local.call("counter", b"").result, 1);
        for (policy, version) in [("backoff:1ms..1ms,255/1s", 1), ("fallback", 2)] {
            let mut held = None;
            for allowed in 0.. {
                let _ = local.ask(Request::Unload { module: "counter" });
                for minor in 1..=version {
                    let push = |push: &mut Push<'_>| push.overrides.on_fault = Some(policy);
                    local.push(&renamed("counter", "counter", (1, minor, 0)), push);
                }
                let fault = Request::Call { module: "counter", input: b"fault", repeat: 1 };
                assert!(local.refused(fault).contains("panic"), "{allowed}");
                std::thread::sleep(std::time::Duration::from_millis(2));
                // The step that is due lacks memory, and is taken again: it does not stop the module.
                LEFT.set(Some(allowed));
                local.server.poll();
                let failed = LEFT.replace(None).is_none();
                let is_back = |module: &String| module.starts_with("counter 1.1.0") && module.ends_with("loaded true");
                while !state(&local).iter().any(is_back) {
                    assert!(failed, "{allowed}: {:?}", state(&local));
                    local.server.poll();
                }
                assert_eq!(local.call("counter", b"").result, 1, "{allowed}");
                if !failed {
                    println!("{domain:?} {policy}: on purpose {on_purpose}, when due {allowed} allocations");
                    break;
                }
                // What faulted and waits is unloaded without any memory but that of the answer.
                assert!(local.refused(fault).contains("panic"), "{allowed}");
                assert!(matches!(local.ask(Request::Unload { module: "counter" }), Response::Unloaded(_)));
                local.server.environment().console.borrow_mut().clear();
                assert_eq!(*held.get_or_insert(BYTES.get()), BYTES.get(), "{allowed}");
            }
        }
    }
}

#[test]
fn parameters() {
    for domain in Domain::ALL {
        let local = server(domain);
        let version = |minor| renamed("settings", "settings", (1, minor, 0));
        let push = |parameters| {
            let overrides = LoadOverrides { parameters, on_fault: Some("restart"), ..LoadOverrides::default() };
            Request::Push(Push { label: "x.mod", overrides, beside: false, gate: None })
        };
        let (answer, first) = exhaust(&local, push("settings.mtu=9000\nsettings.hostname=other\n"), |local| {
            let _ = local.ask(Request::Unload { module: "settings" });
            local.upload(&version(0));
        });
        assert!(matches!(answer, Response::Loaded(_)), "{answer:?}");
        // Those that are taken over. The server can do without some allocations, so each round begins with the old one.
        let mut reload = 0;
        loop {
            let _ = local.ask(Request::Unload { module: "settings" });
            local.load(&version(0));
            assert_eq!(local.call("settings", b"").version, "1.0.0");
            local.upload(&version(1));
            local.reserve();
            let frame = local.frame(push("settings.verbose=true\n"));
            LEFT.set(Some(reload));
            local.hear(&frame);
            let failed = LEFT.replace(None).is_none();
            match local.last_answer() {
                Response::Refused(Refusal { error, .. }) => {
                    assert!(failed && error.contains("memory"), "allocation {reload}: {error}");
                    assert_eq!(local.call("settings", b"").version, "1.0.0");
                }
                answer => assert!(matches!(answer, Response::Loaded(_)), "{answer:?}"),
            }
            if !failed {
                break;
            }
            reload += 1;
        }
        let (_, list) = exhaust(&local, Request::Ps, |_| ());
        let (refused, refusal) = exhaust(&local, push("settings.mtuu=1\n"), |local| local.upload(&version(2)));
        assert!(matches!(&refused, Response::Refused(refusal) if refusal.error.contains("it has mtu")), "{refused:?}");
        println!("{domain:?}: load {first}, reload {reload}, list {list}, refusal {refusal} allocations");
    }
}

#[test]
fn imports() {
    for domain in Domain::ALL {
        let local = server(domain);
        let provider = |name: &str, minor| renamed("kinds", name, (1, minor, 0));
        for name in ["disk", "tape"] {
            local.load(&provider(name, 0));
        }
        let push = |parameters| {
            let overrides = LoadOverrides { parameters, ..LoadOverrides::default() };
            Request::Push(Push { label: "x.mod", overrides, beside: false, gate: None })
        };
        // A load that is bound otherwise than its blob asks for.
        let user = bytes(test_blob("kinds-user"));
        let (answer, load) = exhaust(&local, push("bind kinds-user.kinds=tape\n"), |local| {
            let _ = local.ask(Request::Unload { module: "kinds-user" });
            local.upload(&user);
        });
        assert!(matches!(answer, Response::Loaded(_)), "{answer:?}");
        assert_eq!(local.call("kinds-user", b"").result, 0);
        // A reload of its provider, which binds it anew.
        let (answer, reload) = exhaust(&local, push(""), |local| local.upload(&provider("tape", 1)));
        assert!(matches!(answer, Response::Loaded(_)), "{answer:?}");
        assert_eq!(local.call("kinds-user", b"").result, 0);
        let (answer, list) = exhaust(&local, Request::Interfaces { module: None }, |_| ());
        let Response::Interfaces(found) = &answer else { panic!("{answer:?}") };
        // Without the loader's own.
        assert_eq!(found.iter().filter(|found| !found.version.is_empty()).count(), 3, "{answer:?}");
        let (answer, refusal) = exhaust(&local, push("bind kinds-user.kinds=drum\n"), |local| local.upload(&user));
        assert!(matches!(&answer, Response::Refused(refusal) if refusal.error.contains("drum")), "{answer:?}");
        let (answer, unload) = exhaust(&local, Request::Unload { module: "kinds-user" }, |_| ());
        let Response::Unloaded(receipt) = &answer else { panic!("{answer:?}") };
        let balance = |held: u64, returned: u64| held == returned;
        assert!(balance(receipt.pages_held, receipt.pages_returned), "{receipt:?}");
        assert!(balance(receipt.table_bytes_held, receipt.table_bytes_returned), "{receipt:?}");
        // The embedder as a user.
        let manager = local.server.manager();
        LEFT.set(Some(0));
        let bound = manager.bind::<dyn Kinds>("tape");
        assert!(LEFT.replace(None).is_none() && matches!(bound, Err(BindError::NoMemory)));
        drop(manager.bind::<dyn Kinds>("tape").unwrap());
        ["disk", "tape"].iter().for_each(|name| assert!(manager.unload(manager.find(name).unwrap()).is_ok()));
        println!(
            "{domain:?}: load {load}, reload {reload}, list {list}, refusal {refusal}, unload {unload} allocations"
        );
    }
}

#[test]
fn regions_are_there_or_refused() {
    let local = Local::new(LoadOptions::default());
    ["owner", "borrower"].iter().for_each(|name| _ = local.load(&renamed("sharer", name, (1, 0, 0))));
    // The result is that of the last line: 0, or the negative number of `NoSuchRegion`.
    let lines = |region: i32| {
        format!("create 1\nlend {region} borrower shared\nplace {region} shared\ntake_back {region}\ndestroy {region}")
    };
    assert_eq!(local.call("owner", lines(1).as_bytes()).result, 0);
    let (mut next, mut refused) = (2, 0);
    for allowed in 0..1000 {
        local.reserve();
        let input = lines(next);
        let frame = local.frame(Request::Call { module: "owner", input: input.as_bytes(), repeat: 1 });
        let held = BYTES.get();
        LEFT.set(Some(allowed));
        local.hear(&frame);
        let failed = LEFT.replace(None).is_none();
        let answer = local.last_answer();
        match &answer {
            Response::Called(called) if called.result == 0 => next += 1,
            Response::Called(called) => {
                assert!(failed && called.result == -1, "{called:?}");
                refused += 1;
            }
            Response::Refused(Refusal { error, .. }) => assert!(failed && error.contains("memory"), "{error}"),
            other => panic!("{other:?}"),
        }
        drop(answer);
        // The first refusal, before the module is called at all, leaves a few bytes, once.
        let lost = BYTES.get() - held;
        assert!(allowed == 0 || lost <= 0, "allocation {allowed}: {lost} bytes are lost");
        if !failed {
            println!("{allowed} allocations, of which {refused} refuse a region");
            assert!(refused > 0);
            return;
        }
    }
    panic!("there is no end of allocations");
}

#[test]
fn blobs_on_their_way() {
    let local = server(Domain::Kernel);
    let sum = bytes(blob("sum"));
    let checksum = bareflow_abi::checksum::crc32c(&[&sum]);
    exhaust(&local, Request::Upload { length: sum.len() as u32, checksum }, |_| ());
    let begin = |local: &Local| drop(local.ask(Request::Upload { length: sum.len() as u32, checksum }));
    exhaust(&local, Request::Chunk { offset: 0, bytes: &sum }, begin);
}

fn name(request: &Request<'_>) -> String {
    format!("{request:?}").chars().take(60).collect()
}

/// Requests as frames, and their responses.
impl Local {
    fn frame(&self, request: Request<'_>) -> Vec<u8> {
        Envelope { request_id: 1 << 20, request }.to_frame()
    }

    /// Receives a frame, and does all the work that results from it.
    fn hear(&self, frame: &[u8]) {
        self.server.receive(frame);
        while self.server.poll() {}
    }

    fn last_answer(&self) -> Response {
        let answers = self.answers();
        let mut answers = answers.into_iter().filter(|(_, answer)| !matches!(answer, Response::Progress { .. }));
        answers.next_back().expect("an answer").1
    }
}
