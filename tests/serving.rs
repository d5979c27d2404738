//! A running kernel with real clients.

mod common;

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, spawn};
use std::time::{Duration, Instant};

use bareflow::client::{Client, upload};
use bareflow::embedded::KERNEL;
use bareflow::input_files::InputFiles;
use bareflow::qemu::{ExitReason, Machine};
use bareflow_loader::{Domain, FaultPolicy};
use bareflow_protocol::comparison::{Condition, Gate};
use bareflow_protocol::control::{Called, FileList, LoadOverrides, Loaded, Push, Receipt};
use bareflow_protocol::options::{Rig, Task};
use bareflow_protocol::{Decoder, Envelope, Message, Request, Response, encode_frame};
use common::kernel::push_with;
use common::mutate::{depending, renamed, with_header};
use common::served::Served;
use common::{blob, options, other, random, test_blob};

fn bytes(path: PathBuf) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

fn push(client: &mut Client, blob: &[u8]) -> Loaded {
    push_with(client, blob, LoadOverrides::default())
}

fn call(client: &mut Client, module: &str, input: &[u8], repeat: u32) -> Called {
    let request = Request::Call { module, input, repeat };
    match client.ask(request).unwrap_or_else(|error| panic!("{error}")) {
        Response::Called(called) => called,
        other => panic!("{other:?}"),
    }
}

fn unload(client: &mut Client, module: &str) -> Receipt {
    match client.ask(Request::Unload { module }).unwrap_or_else(|error| panic!("{error}")) {
        Response::Unloaded(receipt) => receipt,
        other => panic!("{other:?}"),
    }
}

fn memory(client: &mut Client) -> [u64; 3] {
    match client.ask(Request::Memory) {
        Ok(Response::Memory { pages, arena_bytes, table_bytes }) => [pages, arena_bytes, table_bytes],
        other => panic!("{other:?}"),
    }
}

/// Checks that all resources were returned, to the page and to the byte.
#[track_caller]
fn assert_balanced(receipt: &Receipt) {
    let held = [receipt.pages_held, receipt.arena_bytes_held, receipt.table_bytes_held];
    let returned = [receipt.pages_returned, receipt.arena_bytes_returned, receipt.table_bytes_returned];
    assert_eq!(returned, held, "{receipt:?}");
    assert!(held[0] + held[1] > 0);
}

/// Returns `sum` with another constant and a later version, which returns 5051.
fn other_sum(minor: u32) -> Vec<u8> {
    let mut sum = bytes(blob("sum"));
    let place = sum.windows(4).position(|window| window == 5050_u32.to_le_bytes()).unwrap();
    sum[place..place + 4].copy_from_slice(&5051_u32.to_le_bytes());
    with_header(&sum, |header| header.version_minor = minor)
}

#[test]
fn no_call_is_lost_while_a_module_is_replaced() {
    const CALLS: u32 = 1_000_000;
    let served = Served::start(|_| ());
    let mut pusher = served.client();
    let mut caller = served.client();
    let calling = spawn(move || call(&mut caller, "sum", b"", CALLS));
    let mut under_way = 0;
    for reload in 0..1000 {
        let blob = if reload % 2 == 0 { other_sum(reload + 2) } else { bytes(blob("sum")) };
        match push(&mut pusher, &blob).replaced.unwrap().receipt {
            Some(receipt) => assert_balanced(&receipt),
            // A call was running at that moment: the old module was unloaded after it.
            None => under_way += 1,
        }
    }
    let called = calling.join().unwrap();
    assert_balanced(&unload(&mut pusher, "sum"));
    let results: Vec<_> = called.results.iter().map(|(result, _)| *result).collect();
    assert!(results.iter().all(|result| [5050, 5051].contains(result)), "{:?}", called.results);
    assert_eq!(called.results.iter().map(|(_, count)| count).sum::<u64>(), u64::from(CALLS));
    println!("{CALLS} calls, 1000 reloads, {under_way} of them during a call: {:?}", called.results);
    // Each call was one of some version's, and all versions are unloaded.
    let console = served.end();
    let gone = console.lines().filter_map(|line| line.strip_prefix("[OK] Module unloaded: sum "));
    let calls: Vec<u64> = gone.map(|line| line.split(' ').nth(4).unwrap().parse().unwrap()).collect();
    assert_eq!((calls.len(), calls.iter().sum::<u64>()), (1001, u64::from(CALLS)), "{console}");
    assert!(!console.contains("[WARN]"), "{console}");
}

#[test]
fn calls_under_way_end_in_the_old_code_and_clients_are_heard_meanwhile() {
    for domain in ["kernel", "user"] {
        let served = Served::start(|machine| machine.options = options(Task::Serve, domain, "time=10s"));
        let mut client = served.client();
        push(&mut client, &with_header(&bytes(test_blob("faults")), |header| header.time_us = 4_000_000));
        let mut caller = served.client();
        let looping = spawn(move || {
            let request = Request::Call { module: "faults", input: b"loop_forever", repeat: 1 };
            caller.ask(request).unwrap_err().to_string()
        });
        // Waits until the loop runs, which takes its four seconds.
        let start = Instant::now();
        std::thread::sleep(Duration::from_millis(300));
        assert!(matches!(client.ask(Request::Ps), Ok(Response::Modules(_))));
        let loaded = push(&mut client, &bytes(test_blob("faults")));
        let heard = start.elapsed();
        assert_eq!(loaded.generation, 2);
        let under_way = loaded.replaced.unwrap().receipt.is_none();
        // The new code is called while the old one's call has not ended: the call waits for that.
        let error = looping.join().unwrap();
        assert!(error.contains("time_budget"), "{error}");
        assert!(under_way, "{domain}: heard only after {heard:?}");
        let Ok(Response::Modules(modules)) = client.ask(Request::Ps) else { panic!("no list") };
        let faults: Vec<_> = modules.iter().filter(|module| module.name == "faults").collect();
        assert_eq!((faults.len(), faults[0].generation, &*faults[0].state), (1, 2, "loaded"));
        let console = served.end();
        assert!(console.contains("Module unloaded: faults 0.1.0 (load 1)"), "{console}");
        assert!(!console.contains("[WARN]"), "{console}");
    }
}

/// Starts a call of `faults` that takes `seconds` seconds, unless it ends otherwise; its client waits.
fn begin_endless(served: &Served, input: &'static [u8], seconds: u32) -> JoinHandle<String> {
    let mut client = served.client();
    push(&mut client, &with_header(&bytes(test_blob("faults")), |header| header.time_us = seconds * 1_000_000));
    let looping = spawn(move || {
        let request = Request::Call { module: "faults", input, repeat: 1 };
        client.ask(request).unwrap_err().to_string()
    });
    std::thread::sleep(Duration::from_millis(300));
    looping
}

#[test]
fn clients_are_heard_behind_each_service_of_a_module_that_does_nothing_else() {
    for domain in ["kernel", "user"] {
        for input in ["log_loop", "clock_loop", "call_loop"] {
            let served = Served::start(|machine| machine.options = options(Task::Serve, domain, ""));
            let mut client = served.client();
            // Far more than the rest takes on any machine; the test does not wait for its end.
            let looping = begin_endless(&served, input.as_bytes(), 60);
            assert!(matches!(client.ask(Request::Ps), Ok(Response::Modules(_))));
            assert!(!looping.is_finished(), "{domain} {input}: heard behind the call only");
            let loaded = push(&mut client, &bytes(test_blob("faults")));
            assert!(loaded.replaced.unwrap().receipt.is_none(), "{domain} {input}: replaced behind the call only");
            drop(served);
            assert!(looping.join().unwrap().contains("is gone"), "{domain} {input}: ended otherwise");
        }
    }
}

#[test]
fn clients_are_heard_while_the_init_of_another_ones_module_runs() {
    for domain in ["kernel", "user"] {
        let served = Served::start(|machine| machine.options = options(Task::Serve, domain, "time=10s"));
        let [first, second, mut third] = [(); 3].map(|()| served.client());
        let looping = begin_endless(&served, b"loop_forever", 4);
        // Two pushes whose `init` takes three seconds each: one begins during the call, and the other one waits for it.
        let sluggish = with_header(&bytes(test_blob("sluggish")), |header| header.time_us = 3_000_000);
        let other = with_header(&renamed("sluggish", "slower", (1, 0, 0)), |header| header.time_us = 3_000_000);
        let start = |client: Client, blob: Vec<u8>| {
            let mut client = client;
            spawn(move || {
                upload(&mut client, &blob, &mut |_, _| ()).unwrap_or_else(|error| panic!("{error}"));
                let push = Push { label: "test", overrides: LoadOverrides::default(), beside: false, gate: None };
                client.ask(Request::Push(push)).unwrap_err().to_string()
            })
        };
        let pushes = [start(first, sluggish), start(second, other)];
        std::thread::sleep(Duration::from_millis(500));
        for _ in 0..3 {
            assert!(matches!(third.ask(Request::Ps), Ok(Response::Modules(_))));
            assert!(pushes.iter().all(|push| !push.is_finished()), "{domain}: heard behind an `init` only");
        }
        // Its own push waits for both, and is not lost.
        assert_eq!(push(&mut third, &other_sum(2)).version, "0.2.0");
        for push in pushes {
            let error = push.join().unwrap();
            assert!(error.contains("time_budget"), "{domain}: {error}");
        }
        assert!(looping.join().unwrap().contains("time_budget"));
        assert_eq!(call(&mut third, "sum", b"", 1).result, 5051);
        served.end();
    }
}

#[test]
fn a_client_that_leaves_during_its_modules_init_takes_its_gate_along() {
    let served = Served::start(|_| ());
    let mut other = served.client();
    push(&mut other, &renamed("slow", "slow", (1, 0, 0)));
    let candidate = renamed("slow", "slow", (2, 0, 0));
    let checksum = bareflow_abi::checksum::crc32c(&[&candidate]);
    let gate = Gate { conditions: Condition::parse_all("outputs-equal").unwrap(), input: None, over: 1 };
    let frames = [
        Request::Hello,
        Request::Upload { length: candidate.len() as u32, checksum },
        Request::Chunk { offset: 0, bytes: &candidate },
        Request::Push(Push { label: "test", overrides: LoadOverrides::default(), beside: false, gate: Some(gate) }),
    ];
    let mut leaving = UnixStream::connect(served.socket()).unwrap();
    for (number, request) in (1..).zip(frames) {
        leaving.write_all(&Envelope { request_id: number, request }.to_frame()).unwrap();
    }
    drop(leaving);
    // This load waits for the candidate's, and the call for the comparison, if there is one.
    std::thread::sleep(Duration::from_millis(300));
    push(&mut other, &other_sum(2));
    assert_eq!(call(&mut other, "sum", b"", 1).result, 5051);
    let Ok(Response::Modules(modules)) = other.ask(Request::Ps) else { panic!("no list") };
    let slow: Vec<_> = modules.iter().filter(|module| module.name == "slow").map(|module| &*module.version).collect();
    assert_eq!(slow, ["1.0.0"], "a gate was opened for nobody");
    served.end();
}

#[test]
fn a_module_that_returns_with_interrupts_kept_away_keeps_nobody_waiting() {
    let served = Served::start(|_| ());
    let mut client = served.client();
    push(&mut client, &bytes(test_blob("faults")));
    // The first call is checked thoroughly, the next ones are not.
    for input in ["good", "raise_priority_on_return", "arm_debug_register"] {
        let request = Request::Call { module: "faults", input: input.as_bytes(), repeat: 1 };
        let _ = client.ask(request).map_err(|error| error.to_string());
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(call(&mut client, "sum", b"", 1000).result, 5050);
    }
    // Another client's call is ended in time.
    let mut other = served.client();
    push(&mut other, &renamed("faults", "other", (1, 0, 0)));
    let request = Request::Call { module: "other", input: b"loop_forever", repeat: 1 };
    assert!(other.ask(request).unwrap_err().to_string().contains("time_budget"));
    served.end();
}

#[test]
fn vector_registers_survive_what_clients_ask_for_meanwhile() {
    const CALLS: u32 = 2000;
    for domain in ["kernel", "user"] {
        let served = Served::start(|machine| machine.options = options(Task::Serve, domain, ""));
        let mut pusher = served.client();
        let expected = match push(&mut pusher, &bytes(test_blob("vectors"))) {
            loaded if loaded.generation == 1 => call(&mut pusher, "vectors", b"", 1).results,
            other => panic!("{other:?}"),
        };
        let mut caller = served.client();
        let calling = spawn(move || call(&mut caller, "vectors", b"", CALLS));
        let other = renamed("vectors", "other", (1, 0, 0));
        // Each `init` fills the registers while the calls are interrupted for it.
        while !calling.is_finished() {
            push(&mut pusher, &other);
        }
        assert_eq!(calling.join().unwrap().results, [(expected[0].0, u64::from(CALLS))], "{domain}");
        served.end();
    }
}

#[test]
fn an_unload_waits_for_calls_and_names_who_blocks() {
    let served = Served::start(|machine| machine.options = options(Task::Serve, "kernel", "time=10s"));
    let mut client = served.client();
    let faults = with_header(&bytes(test_blob("faults")), |header| header.time_us = 4_000_000);
    push(&mut client, &faults);
    let mut caller = served.client();
    let looping = spawn(move || {
        let request = Request::Call { module: "faults", input: b"loop_forever", repeat: 1 };
        caller.ask(request).unwrap_err().to_string()
    });
    std::thread::sleep(Duration::from_millis(300));
    let error = client.ask(Request::Unload { module: "faults" }).unwrap_err().to_string();
    assert!(error.contains("a call of faults 0.1.0 is under way"), "{error}");
    assert!(looping.join().unwrap().contains("time_budget"));
    assert_balanced(&unload(&mut client, "faults"));
    served.end();
}

#[test]
fn memory_is_as_before_behind_many_clients_requests() {
    for domain in ["kernel", "user"] {
        let served = Served::start(|machine| machine.options = options(Task::Serve, domain, ""));
        let mut client = served.client();
        unload(&mut client, "sum");
        let modules = ["heap", "counter"].map(|module| (module, bytes(test_blob(module))));
        let round = |client: &mut Client| {
            for (module, blob) in &modules {
                push(client, blob);
                assert!(call(client, module, b"", 1).result > 0);
                push(client, blob);
                assert_balanced(&unload(client, module));
            }
        };
        // The tables grow to their final size in the first rounds.
        (0..3).for_each(|_| round(&mut client));
        let before = memory(&mut client);
        (0..25).for_each(|_| round(&mut client));
        assert_eq!(memory(&mut client), before, "{domain}");
        served.end();
    }
}

#[test]
fn memory_is_as_before_behind_ten_thousand_loads() {
    let runs: [(&str, u32, &[PathBuf]); 2] = [
        ("kernel", 10_000, &[blob("sum"), test_blob("counter")]),
        ("user", 1_000, &[test_blob("counter"), test_blob("heap")]),
    ];
    for (domain, rounds, files) in runs {
        let read = |path: &PathBuf| (path.display().to_string(), bytes(path.clone()));
        let input = InputFiles { blobs: files.iter().map(read).collect(), ..InputFiles::default() };
        let options = options(Task::Rig(Rig::Soak(rounds)), domain, "");
        let machine = Machine { options, files: input, timeout: Duration::from_secs(300), ..Machine::new(KERNEL) };
        let outcome = machine.run(|_| ()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(outcome.exit_reason, ExitReason::Passed, "{}", outcome.console);
        let line = format!(": {rounds} loads and unloads, {rounds} reloads; before and behind: ");
        assert_eq!(outcome.console.matches(&line).count(), files.len(), "{}", outcome.console);
        print!("{}", outcome.console);
    }
}

#[test]
fn memory_that_runs_out_anywhere_refuses_and_loses_nothing() {
    for domain in ["kernel", "user"] {
        let blobs = [renamed("counter", "counter", (1, 0, 0)), renamed("counter-next", "counter", (2, 0, 0))];
        let blobs = blobs.into_iter().enumerate().map(|(number, bytes)| (format!("{number}.mod"), bytes)).collect();
        let files = InputFiles { blobs, ..InputFiles::default() };
        let options = options(Task::Rig(Rig::Exhaust), domain, "");
        let machine = Machine { options, files, timeout: Duration::from_secs(300), ..Machine::new(KERNEL) };
        let outcome = machine.run(|_| ()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(outcome.exit_reason, ExitReason::Passed, "{domain}\n{}", outcome.console);
        assert_eq!(outcome.console.matches("[OK]").count(), 2, "{}", outcome.console);
        print!("{domain}\n{}", outcome.console);
    }
}

#[test]
fn modules_call_each_other_in_and_across_domains() {
    let any = |name| (name, (0, 0, 0), None);
    let (one, two) = (renamed("relay", "one", (1, 0, 0)), renamed("relay", "two", (1, 0, 0)));
    let modules = [
        ("echo", bytes(test_blob("echo"))),
        ("relay", bytes(test_blob("relay"))),
        ("two", depending(&two, &[any("relay")])),
        ("one", depending(&one, &[any("two"), any("relay")])),
    ];
    for cpu in ["max", "qemu64"] {
        let served = Served::start(|machine| machine.cpu = cpu.to_owned());
        let mut client = served.client();
        for domain in Domain::ALL {
            for elsewhere in [&[][..], &["relay"], &["echo", "one"], &["two"]] {
                for (name, blob) in &modules {
                    let domain = if elsewhere.contains(name) { other(domain) } else { domain };
                    let overrides = LoadOverrides { domain: Some(domain.name()), ..LoadOverrides::default() };
                    push_with(&mut client, blob, overrides);
                }
                let called = call(&mut client, "one", b"two relay echo hello", 3);
                assert_eq!((called.result, &called.output[..]), (5, &b"hello"[..]), "{cpu} {domain:?} {elsewhere:?}");
                // The dependencies of `relay` name a version of `echo`, and no other module.
                assert_eq!(call(&mut client, "relay", b"two hello", 1).result, -101);
                for (name, count) in [("one", 3), ("two", 3), ("relay", 4), ("echo", 3)] {
                    let receipt = unload(&mut client, name);
                    assert_eq!(receipt.call_count, count, "{cpu} {domain:?} {elsewhere:?} {name}");
                    assert_balanced(&receipt);
                }
            }
        }
        served.end();
    }
}

#[test]
fn modules_use_each_others_interfaces_in_and_across_domains() {
    let (provider, user) = (bytes(test_blob("kinds")), bytes(test_blob("kinds-user")));
    for cpu in ["max", "qemu64"] {
        let served = Served::start(|machine| machine.cpu = cpu.to_owned());
        let mut client = served.client();
        for (from, to) in Domain::ALL.into_iter().flat_map(|from| Domain::ALL.map(|to| (from, to))) {
            for (blob, domain) in [(&provider, to), (&user, from)] {
                let overrides = LoadOverrides { domain: Some(domain.name()), ..LoadOverrides::default() };
                push_with(&mut client, blob, overrides);
            }
            assert_eq!(call(&mut client, "kinds-user", b"", 3).result, 0, "{cpu} {from:?} {to:?}");
            for name in ["kinds-user", "kinds"] {
                assert_balanced(&unload(&mut client, name));
            }
        }
        served.end();
    }
}

#[test]
fn contains_a_fault_of_a_module_that_another_one_calls() {
    let faulty = with_header(&bytes(test_blob("faults")), |header| header.flags = 0);
    let relay = depending(&bytes(test_blob("relay")), &[("faults", (0, 0, 0), None)]);
    let served = Served::start(|machine| {
        machine.options = options(Task::Serve, "kernel", "time=200ms");
        machine.options.load.on_fault = FaultPolicy::Restart;
    });
    let mut client = served.client();
    for (fault, kind) in
        [("ud2", "invalid_opcode"), ("loop_forever", "time_budget"), ("recursion", "stack_overflow"), ("good", "")]
    {
        for (caller, callee) in Domain::ALL.into_iter().flat_map(|caller| Domain::ALL.map(|callee| (caller, callee))) {
            for (blob, domain) in [(&faulty, callee), (&relay, caller)] {
                let overrides = LoadOverrides { domain: Some(domain.name()), ..LoadOverrides::default() };
                push_with(&mut client, blob, overrides);
            }
            let result = call(&mut client, "relay", format!("faults {fault}").as_bytes(), 2).result;
            let Ok(Response::Modules(modules)) = client.ask(Request::Ps) else { panic!("no list") };
            let module = |name| modules.iter().find(|module| module.name == name).unwrap();
            let (relay, faults) = (module("relay"), module("faults"));
            assert_eq!((relay.faults, relay.call_count), (0, 2), "{fault} {caller:?} {callee:?}");
            let expected = if kind.is_empty() { (0, None, 6765) } else { (2, Some(kind), -104) };
            let found = faults.fault.as_ref().map(|fault| &*fault.kind);
            assert_eq!((faults.faults, found, result), expected, "{fault} {caller:?} {callee:?}");
            ["relay", "faults"].iter().for_each(|name| assert_balanced(&unload(&mut client, name)));
        }
    }
    served.end();
}

#[test]
fn a_thousand_modules_are_loaded_at_once_and_called() {
    let served = Served::start(|_| ());
    let mut client = served.client();
    let sum = bytes(blob("sum"));
    for number in 0..1000 {
        let renamed = with_header(&sum, |header| {
            header.name = [0; 32];
            let name = format!("sum-{number}");
            header.name[..name.len()].copy_from_slice(name.as_bytes());
        });
        push(&mut client, &renamed);
    }
    assert!((0..1000).all(|number| call(&mut client, &format!("sum-{number}"), b"", 1).result == 5050));
    (0..1000).for_each(|number| assert_balanced(&unload(&mut client, &format!("sum-{number}"))));
    served.end();
}

#[test]
fn a_client_may_die_at_every_boundary_of_a_push() {
    let served = Served::start(|_| ());
    let sum = bytes(blob("sum"));
    let frame = |number, request| Envelope { request_id: number, request }.to_frame();
    let checksum = bareflow_abi::checksum::crc32c(&[&sum]);
    let push = Push { label: "x", overrides: LoadOverrides::default(), beside: false, gate: None };
    let messages = [
        frame(1, Request::Hello),
        frame(2, Request::Upload { length: sum.len() as u32, checksum }),
        frame(3, Request::Chunk { offset: 0, bytes: &sum[..50] }),
        frame(4, Request::Chunk { offset: 50, bytes: &sum[50..] }),
        frame(5, Request::Push(push)),
    ];
    for whole in 0..=messages.len() {
        // Sends a half of the next message, or none of it.
        for half in [0, messages.get(whole).map_or(0, |next| next.len() / 2)] {
            let mut stream = UnixStream::connect(served.socket()).unwrap();
            messages[..whole].iter().for_each(|message| stream.write_all(message).unwrap());
            if let Some(next) = messages.get(whole) {
                stream.write_all(&next[..half]).unwrap();
            }
            drop(stream);
            let mut client = served.client();
            assert_eq!(call(&mut client, "sum", b"", 1).result, 5050);
        }
    }
    let console = served.end();
    assert_eq!(console.matches("Module loaded: sum").count(), 3, "at the start, and when all had been sent\n{console}");
}

#[test]
fn noise_on_the_channel_changes_nothing() {
    // Far fewer than `tests/server.rs` sends in a process, as each response takes a switch of threads.
    let messages = std::env::var("BAREFLOW_NOISE").map_or(20_000, |count| count.parse().unwrap());
    noise(true, messages);
    noise(false, messages / 20);
}

/// Sends `messages` random messages on a virtio console, or on COM2.
fn noise(virtio_channel: bool, messages: u32) {
    use std::io::{Read, Write};
    const LAST: u64 = 0x1234_5678_9abc_def0;
    // Directly at the port, without a broker that would filter them.
    let machine = Machine { options: options(Task::Serve, "kernel", ""), virtio_channel, ..Machine::new(KERNEL) };
    let running = machine.start().unwrap();
    let (mut reading, mut channel) = (running.channel.try_clone().unwrap(), running.channel.try_clone().unwrap());
    let mut greeting = [0; 16];
    reading.read_exact(&mut greeting).unwrap();
    // The response to the last request, after all of the noise.
    let drain = spawn(move || {
        let (mut buffer, mut decoder, mut listed) = ([0; 4096], Decoder::new(), None);
        while let Ok(count @ 1..) = reading.read(&mut buffer) {
            decoder.push(&buffer[..count]);
            for payload in std::iter::from_fn(|| decoder.next_payload()).flatten() {
                if let Ok(Message::Response(LAST, Response::Modules(modules))) = Message::from_payload(&payload) {
                    listed = Some(modules.into_iter().map(|module| module.name).collect::<Vec<_>>());
                }
            }
        }
        listed
    });
    let mut next = random(7);
    let mut batch = Vec::new();
    for _ in 0..messages {
        let payload: Vec<u8> = (0..next() % 4).map(|_| next() as u8).collect();
        // A shutdown request would be carried out.
        if Envelope::from_payload(&payload).is_ok_and(|asked| asked.request == Request::Shutdown) {
            continue;
        }
        let mut bytes = encode_frame(&payload).unwrap();
        if next().is_multiple_of(8) {
            let place = next() as usize % bytes.len();
            bytes[place] = next() as u8;
        }
        batch.extend(bytes);
        if batch.len() > 60_000 {
            if channel.write_all(&batch).is_err() {
                let console: Vec<u8> = running.console.iter().flatten().collect();
                panic!("{}", String::from_utf8_lossy(&console));
            }
            batch.clear();
        }
    }
    channel.write_all(&batch).unwrap();
    // A frame that was cut short is discarded when its rest does not arrive.
    std::thread::sleep(Duration::from_secs(3));
    channel.write_all(&Envelope { request_id: LAST, request: Request::Ps }.to_frame()).unwrap();
    channel.write_all(&Envelope { request_id: 1, request: Request::Shutdown }.to_frame()).unwrap();
    let console: Vec<u8> = running.console.iter().flatten().collect();
    let console = String::from_utf8_lossy(&console).into_owned();
    running.wait().unwrap_or_else(|error| panic!("{error}\n{console}"));
    assert!(console.contains("=== KERNEL ENDED BY A CLIENT ===") && !console.contains("PANIC"), "{console}");
    drop(channel);
    let listed = drain.join().unwrap().expect("`ps` is answered");
    assert_eq!(listed, ["compute", "fibonacci", "primes", "sum"]);
}

#[test]
fn a_host_that_reads_late_gets_every_byte() {
    use std::io::{Read, Write};
    // More responses than the socket has room for.
    const REQUESTS: u64 = 2_000;
    let machine = Machine { options: options(Task::Serve, "kernel", ""), virtio_channel: true, ..Machine::new(KERNEL) };
    let running = machine.start().unwrap();
    let mut channel = running.channel.try_clone().unwrap();
    let mut greeting = [0; 16];
    channel.read_exact(&mut greeting).unwrap();
    for request_id in 1..=REQUESTS {
        channel.write_all(&Envelope { request_id, request: Request::Ps }.to_frame()).unwrap();
    }
    std::thread::sleep(Duration::from_secs(1));
    channel.write_all(&Envelope { request_id: REQUESTS + 1, request: Request::Shutdown }.to_frame()).unwrap();
    let (mut buffer, mut decoder, mut answered, mut bytes) = ([0; 4096], Decoder::new(), 0, 0);
    while let Ok(count @ 1..) = channel.read(&mut buffer) {
        bytes += count;
        decoder.push(&buffer[..count]);
        for payload in std::iter::from_fn(|| decoder.next_payload()).flatten() {
            if let Ok(Message::Response(request_id, Response::Modules(modules))) = Message::from_payload(&payload) {
                assert_eq!((request_id, modules.len()), (answered + 1, 4));
                answered += 1;
            }
        }
    }
    assert!(answered == REQUESTS && bytes > 500_000, "{answered} responses, {bytes} bytes");
    running.wait().unwrap();
}

#[test]
fn modules_are_loaded_from_the_disk_and_saved_there() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("disk.img");
    let mut files = vec![image.display().to_string()];
    files.extend([blob("sum"), test_blob("echo")].map(|path| path.display().to_string()));
    let bad = folder.path().join("bad.mod");
    std::fs::write(&bad, &bytes(blob("primes"))[..200]).unwrap();
    files.push(bad.display().to_string());
    let made = common::bareflow(["disk", "create"].into_iter().map(str::to_owned).chain(files));
    common::assert_code(&made, 0);
    let serve = || Served::start(|machine| machine.data_disk = Some(image.clone()));
    let served = serve();
    let mut client = served.client();
    assert_eq!(call(&mut client, "echo", b"four", 1).result, 4);
    let Ok(Response::Files(FileList { files: listed, cut: None })) = client.ask(Request::Ls { path: "/modules" })
    else {
        panic!("no files")
    };
    let empty = client.ask(Request::Ls { path: "" }).unwrap_err().to_string();
    assert!(empty.contains("an empty path: only /modules is looked into"), "{empty}");
    let names: Vec<_> = listed.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["sum.mod", "echo.mod", "bad.mod"]);
    let held: Vec<_> = listed.iter().map(|file| (file.module.as_deref(), file.version.as_deref())).collect();
    // A blob that is cut short still names its module.
    assert_eq!(held, ["sum", "echo", "primes"].map(|module| (Some(module), Some("0.1.0"))));
    push(&mut client, &other_sum(7));
    let Ok(Response::Saved { path, .. }) = client.ask(Request::Save { module: "sum" }) else { panic!("not saved") };
    assert!(path.starts_with("/modules/") && path.ends_with(".MOD"), "{path}");
    fn load(path: &str) -> Request<'_> {
        Request::Load { path, overrides: LoadOverrides::default() }
    }
    // By the name of the module, whatever its file is called.
    assert!(matches!(client.ask(load("sum")), Ok(Response::Loaded(loaded)) if loaded.version == "0.7.0"));
    assert!(client.ask(load("nobody")).unwrap_err().to_string().contains("no file of a module of that name"));
    assert!(client.ask(load("/modules/none.mod")).unwrap_err().to_string().contains("no such file"));
    assert!(client.ask(load("/modules/bad.mod")).is_err());
    let console = served.end();
    assert!(console.contains("[ERROR] bad.mod: "), "{console}");
    let served = serve();
    let mut client = served.client();
    assert_eq!(
        (call(&mut client, "sum", b"", 1).result, call(&mut client, "sum", b"", 1).version),
        (5051, "0.7.0".into())
    );
    assert!(matches!(client.ask(load("/modules/echo.mod")), Ok(Response::Loaded(loaded)) if loaded.generation == 2));
    served.end();
}

#[test]
fn bytes_that_arrive_while_the_disk_is_read_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("disk.img");
    let mut arguments = vec!["disk".to_owned(), "create".to_owned(), image.display().to_string()];
    for number in 0..100 {
        let path = folder.path().join(format!("echo{number}.mod"));
        std::fs::write(&path, renamed("echo", &format!("echo{number}"), (1, 0, 0))).unwrap();
        arguments.push(path.display().to_string());
    }
    common::assert_code(&common::bareflow(arguments), 0);
    let machine = Machine {
        options: options(Task::Serve, "kernel", ""),
        virtio_channel: true,
        data_disk: Some(image),
        ..Machine::new(KERNEL)
    };
    let running = machine.start().unwrap();
    let mut channel = running.channel.try_clone().unwrap();
    channel.set_write_timeout(Some(Duration::from_secs(30))).unwrap();
    let serving = Arc::new(AtomicBool::new(false));
    let trickle = spawn({
        let serving = Arc::clone(&serving);
        move || {
            // At each tick there is a byte, whatever code it interrupts.
            while !serving.load(Ordering::Relaxed) {
                channel.write_all(&[0]).expect("the kernel takes what it is sent");
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    });
    let mut console = Vec::new();
    while !String::from_utf8_lossy(&console).contains("Serving") {
        console.extend(running.console.recv_timeout(Duration::from_secs(60)).expect("the kernel goes on"));
    }
    serving.store(true, Ordering::Relaxed);
    trickle.join().unwrap();
    let channel = running.channel.try_clone().unwrap();
    let mut client = Client::greet(Box::new(channel), Path::new("kernel"), Duration::from_secs(120)).unwrap();
    assert!(matches!(client.ask(Request::Shutdown), Ok(Response::Done)));
    running.wait().unwrap();
}
