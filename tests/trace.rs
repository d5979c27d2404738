//! Traces of a served kernel.

mod common;

use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use bareflow::client::Client;
use bareflow_loader::{Domain, LoadOptions};
use bareflow_protocol::control::{Refusal, RefusalCode};
use bareflow_protocol::options::Task;
use bareflow_protocol::trace::{CallEnd, Entry, Event, MAX_ENTRIES, TraceRequest};
use bareflow_protocol::{Request, Response};
use common::kernel::{call, push};
use common::served::Served;
use common::server::Local;
use common::{options, test_blob};
use serde_json::Value;

fn load(client: &mut Client, names: &[&str], domain: Domain) {
    for name in names {
        push(client, &std::fs::read(test_blob(name)).unwrap(), domain, "");
    }
}

fn bareflow_trace(served: &Served, path: &Path) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bareflow"));
    command.args(["trace", "--for", "1500ms", "--socket"]).arg(served.socket()).arg("-o").arg(path).spawn().unwrap()
}

/// A slice of a trace: its name, its place in others, and the arguments of its end.
#[derive(Debug)]
struct Slice {
    path: String,
    end: Value,
}

/// Checks that begins and ends pair and that time goes on. Returns the slices in the order of their ends, and the instants,
/// each behind the slices that it lies in.
fn read(document: &Value) -> (Vec<Slice>, Vec<String>) {
    let (mut open, mut slices, mut instants, mut last) = (Vec::<String>::new(), Vec::new(), Vec::new(), 0.0);
    for event in document["traceEvents"].as_array().unwrap() {
        let (name, time) = (event["name"].as_str().unwrap(), event["ts"].as_f64().unwrap());
        assert!(event["pid"] == 1 && event["tid"] == 0 && event["cat"].is_string(), "{event}");
        assert!(time >= last, "{event}: behind {last}");
        last = time;
        let path = |open: &[String]| [open, &[name.to_owned()]].concat().join(" > ");
        match event["ph"].as_str().unwrap() {
            "B" => open.push(name.to_owned()),
            "E" => {
                open.pop_if(|begun| begun == name).unwrap_or_else(|| panic!("{event}: nothing to end"));
                slices.push(Slice { path: path(&open), end: event["args"].clone() });
            }
            "i" => instants.push(path(&open)),
            "M" => assert!(event["args"]["name"].is_string(), "{event}"),
            other => panic!("{other}"),
        }
    }
    assert!(open.is_empty(), "{open:?}");
    (slices, instants)
}

#[test]
fn shows_calls_services_faults_and_loads_while_they_happen() {
    for domain in Domain::ALL {
        let served = Served::start(|machine| machine.options.load.domain = domain);
        let mut client = served.client();
        load(&mut client, &["echo", "relay", "random", "faults", "feed", "watch"], domain);
        let path = served.folder.path().join("trace.json");
        let mut tracing = bareflow_trace(&served, &path);
        while tracing.try_wait().unwrap().is_none() {
            assert_eq!(call(&mut client, "sum", b"").result, 5050);
            assert_eq!(call(&mut client, "relay", b"echo hi").result, 2);
            assert!(call(&mut client, "random", b"1234").result > 0);
            let fault = client.ask(Request::Call { module: "faults", input: b"divide_by_zero", repeat: 1 });
            assert!(fault.unwrap_err().to_string().contains("faulted: divide"));
            load(&mut client, &["faults", "echo"], domain);
        }
        assert!(tracing.wait().unwrap().success());
        let document: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let (slices, instants) = read(&document);
        let of = |path: &str| slices.iter().find(|slice| slice.path == path && slice.end["unfinished"].is_null());
        let end = |path: &str| &of(path).unwrap_or_else(|| panic!("{domain:?}: no {path} in {slices:#?}")).end;
        assert_eq!(end("sum")["result"], 5050);
        assert_eq!(end("relay > echo")["result"], 2);
        assert_eq!(end("random > random.next_u64")["returned"], "Ok");
        assert_eq!(end("random > random.fill")["returned"], "Ok");
        assert_eq!(end("faults")["fault"], "divide");
        assert_eq!(end("echo: init")["result"], 0);
        assert_eq!(end("feed.on_tick > events.notify")["returned"], "Ok");
        for expected in [
            "relay > echo > clock",
            "relay > echo > log",
            "relay > call of echo",
            "faults > faults faulted: divide",
            "faults stopped by a fault",
            "echo loaded",
            "echo replaced another load",
            "echo unloaded",
            "feed events due",
            "feed.on_tick > events.notify > feed published notification 0",
            "watch events due",
        ] {
            assert!(instants.iter().any(|found| found == expected), "{domain:?}: no {expected} in {instants:#?}");
        }
        assert_eq!(document["otherData"]["clock"], "tsc");
        assert!(document["otherData"]["ticks_per_microsecond"].as_f64().unwrap() > 1.0);
        served.end();
    }
}

fn begin(client: &mut Client) -> Result<(), RefusalCode> {
    state(client, TraceRequest::Begin)
}

fn end(client: &mut Client) -> Result<(), RefusalCode> {
    state(client, TraceRequest::End)
}

fn state(client: &mut Client, request: TraceRequest) -> Result<(), RefusalCode> {
    match client.ask(Request::Trace(request)) {
        Ok(Response::Trace(state)) if state.processors == 1 => Ok(()),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error.downcast::<Refusal>().unwrap().code),
    }
}

fn entries(client: &mut Client, processor: u32, from: u64) -> Result<(u64, Vec<Entry>), RefusalCode> {
    match client.ask(Request::Trace(TraceRequest::Read { processor, from })) {
        Ok(Response::TraceEntries { first, entries }) => Ok((first, entries)),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error.downcast::<Refusal>().unwrap().code),
    }
}

#[test]
fn a_process_has_none() {
    let local = Local::new(LoadOptions::default());
    assert!(local.refused(Request::Trace(TraceRequest::Begin)).contains("does not trace"));
}

fn table_bytes(client: &mut Client) -> u64 {
    match client.ask(Request::Memory) {
        Ok(Response::Memory { table_bytes, .. }) => table_bytes,
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_client_at_a_time_has_a_trace_and_leaves_nothing() {
    let served = Served::start(|_| ());
    let (mut first, mut second) = (served.client(), served.client());
    let before = table_bytes(&mut second);
    assert_eq!(end(&mut first), Err(RefusalCode::NoTrace));
    assert_eq!(entries(&mut first, 0, 0), Err(RefusalCode::NoTrace));
    assert_eq!(begin(&mut first), Ok(()));
    assert_eq!([begin(&mut first), begin(&mut second)], [Err(RefusalCode::Tracing); 2]);
    assert_eq!([end(&mut second), entries(&mut second, 0, 0).map(|_| ())], [Err(RefusalCode::NoTrace); 2]);
    assert_eq!(entries(&mut first, 0, 0), Ok((0, Vec::new())));
    for (processor, from) in [(0, 1), (0, u64::MAX), (1, 0), (u32::MAX, 0)] {
        assert_eq!(entries(&mut first, processor, from), Err(RefusalCode::Refused), "{processor} {from}");
    }
    assert_eq!(call(&mut second, "sum", b"").result, 5050);
    let (_, found) = entries(&mut first, 0, 0).unwrap();
    let [Entry { event: Event::BeginCall { reason: 0, .. }, .. }, Entry { event: Event::EndCall(ended), .. }] =
        found[..]
    else {
        panic!("{found:?}")
    };
    assert_eq!(ended, CallEnd::Returned(5050));
    assert_eq!([end(&mut first), end(&mut first)], [Ok(()), Err(RefusalCode::NoTrace)]);
    // After its end, nothing is added, and it can be read until another client begins one.
    assert_eq!(call(&mut second, "sum", b"").result, 5050);
    assert_eq!(entries(&mut first, 0, 0), Ok((0, found)));
    assert_eq!(begin(&mut second), Ok(()));
    assert_eq!(entries(&mut first, 0, 0), Err(RefusalCode::NoTrace));
    let traced = table_bytes(&mut first);
    drop(second);
    // The broker tells the kernel that the client has left.
    let freed = (0..500).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        table_bytes(&mut first) + (1 << 20) <= traced
    });
    assert!(freed, "{before} bytes before, {traced} while it traces, {} now", table_bytes(&mut first));
    assert_eq!(begin(&mut first), Ok(()));
    drop(first);
    served.end();
}

#[test]
fn what_a_module_overwrites_in_a_loop_is_counted() {
    let served = Served::start(|machine| machine.options = options(Task::Serve, "user", "time=10s"));
    let (mut client, mut caller) = (served.client(), served.client());
    load(&mut client, &["echo", "relay"], Domain::User);
    assert_eq!(begin(&mut client), Ok(()));
    // It calls the other one until its time is up, while its trace is read.
    let looping = std::thread::spawn(move || {
        let error = caller.ask(Request::Call { module: "relay", input: b"*echo hi", repeat: 1 }).unwrap_err();
        assert!(error.to_string().contains("time_budget"), "{error}");
    });
    let (mut next, mut lost, mut read) = (0, 0, 0);
    for _ in 0..20 {
        std::thread::sleep(Duration::from_millis(300));
        let (first, found) = entries(&mut client, 0, next).unwrap();
        assert!(first >= next && found.len() <= MAX_ENTRIES, "{first} {}", found.len());
        assert!(found.is_sorted_by_key(|entry| entry.ticks));
        (lost, read) = (lost + first - next, read + found.len() as u64);
        next = first + found.len() as u64;
    }
    assert_eq!(end(&mut client), Ok(()));
    assert!(lost > 0 && lost + read == next, "{lost} lost, {read} read, {next} in all");
    looping.join().unwrap();
    served.end();
}
