//! Supervision of modules by a served kernel.

mod common;

use std::thread::spawn;

use bareflow::client::Client;
use bareflow_loader::Domain;
use bareflow_protocol::control::LoadOverrides;
use bareflow_protocol::options::Task;
use bareflow_protocol::report::Module;
use bareflow_protocol::{Request, Response};
use common::kernel::{call, push_with, with_kernel};
use common::mutate::{renamed, with_header};
use common::served::Served;
use common::{assert_code, bareflow, blob, options, test_blob, text};

/// Lets the module `counter` fault.
fn fault(client: &mut Client) {
    let error = client.ask(Request::Call { module: "counter", input: b"fault", repeat: 1 }).unwrap_err().to_string();
    assert!(error.contains("faulted: panic"), "{error}");
}

fn counter(client: &mut Client) -> Module {
    match client.ask(Request::Stats { module: Some("counter") }) {
        Ok(Response::Modules(modules)) => modules.into_iter().next().unwrap(),
        other => panic!("{other:?}"),
    }
}

fn waits(module: &Module) -> bool {
    module.supervision.as_ref().is_some_and(|supervision| supervision.starts_in_ms.is_some())
}

#[test]
fn a_module_starts_again_after_its_delay_and_then_gives_way_to_the_version_before() {
    let served = Served::start(|machine| machine.options = options(Task::Serve, "kernel", "time=5s"));
    let mut client = served.client();
    let sum = std::fs::read(blob("sum")).unwrap();
    push_with(&mut client, &sum, LoadOverrides::default());
    let faults = with_header(&std::fs::read(test_blob("faults")).unwrap(), |header| header.time_us = 5_000_000);
    push_with(&mut client, &faults, LoadOverrides::default());
    for (round, domain) in (0..).zip(Domain::ALL) {
        if round == 1 {
            assert!(client.ask(Request::Unload { module: "counter" }).is_ok());
        }
        let overrides = LoadOverrides { domain: Some(domain.name()), ..LoadOverrides::default() };
        push_with(&mut client, &renamed("counter", "counter", (1, 2, 0)), overrides);
        let on_fault = Some("backoff:300ms..1s,1/60s,fallback");
        let overrides = LoadOverrides { on_fault, ..LoadOverrides::default() };
        push_with(&mut client, &renamed("counter", "counter", (1, 3, 0)), overrides);
        assert_eq!(counter(&mut client).domain, domain.name());
        fault(&mut client);
        // It waits, and no one else does.
        let waiting = counter(&mut client);
        assert!(waits(&waiting) && waiting.shown_state().to_string().starts_with("waiting "), "{waiting:?}");
        assert_eq!(call(&mut client, "sum", b"").result, 5050);
        // It is started again while another module runs that does not end by itself.
        let mut other = served.client();
        let endless = spawn(move || {
            other.ask(Request::Call { module: "faults", input: b"loop_forever", repeat: 1 }).unwrap_err().to_string()
        });
        while waits(&counter(&mut client)) {}
        let module = counter(&mut client);
        assert_eq!((&*module.state, module.restarts, &*module.version), ("loaded", 1, "1.3.0"));
        assert!(!endless.is_finished());
        assert!(endless.join().unwrap().contains("time_budget"));
        push_with(&mut client, &faults, LoadOverrides::default());
        assert_eq!(call(&mut client, "counter", b"").result, 1);
        fault(&mut client);
        while waits(&counter(&mut client)) {}
        let module = counter(&mut client);
        assert_eq!(module.shown_state().to_string(), "loaded, fell back from 1.3.0");
        assert_eq!((&*module.version, &*module.domain), ("1.2.0", domain.name()));
        assert_eq!((call(&mut client, "counter", b"").result, call(&mut client, "counter", b"").result), (1, 2));
        let socket = served.socket();
        let done = bareflow(["restart".as_ref(), "counter".as_ref(), "--socket".as_ref(), socket.as_os_str()]);
        assert_code(&done, 0);
        assert_eq!(text(&done), "counter was restarted\n");
        assert_eq!(call(&mut client, "counter", b"").result, 1);
        let list = bareflow(["ps".as_ref(), "--socket".as_ref(), socket.as_os_str()]);
        assert!(text(&list).contains("loaded, fell back from 1.3.0"), "{}", text(&list));
    }
    let console = served.end();
    for line in [
        " and starts again in 300 ms\n",
        "[OK] counter 1.3.0 was restarted\n",
        " and gives way to the version before it\n",
        "[WARN] counter 1.2.0 runs again, since 1.3.0 faulted\n",
        "[OK] counter 1.2.0 was restarted\n",
    ] {
        assert_eq!(console.matches(line).count(), 2, "{line}\n{console}");
    }
}

#[test]
fn a_fresh_image_in_the_old_memory_has_nothing_of_the_old_one() {
    let heap = std::fs::read(test_blob("heap")).unwrap();
    with_kernel(
        |_| (),
        |client| {
            for domain in Domain::ALL {
                let overrides = LoadOverrides {
                    on_fault: Some("restart"),
                    domain: Some(domain.name()),
                    ..LoadOverrides::default()
                };
                push_with(client, &heap, overrides);
                for _ in 0..3 {
                    let exhaust = Request::Call { module: "heap", input: b"exhaust", repeat: 1 };
                    let error = client.ask(exhaust).unwrap_err().to_string();
                    assert!(error.contains("heap_budget"), "{error}");
                    assert_eq!(call(client, "heap", b"").result, 1000, "{}", domain.name());
                }
                let Ok(Response::Unloaded(receipt)) = client.ask(Request::Unload { module: "heap" }) else { panic!() };
                assert_eq!(receipt.pages_held, receipt.pages_returned);
                assert_eq!((receipt.leaked_blocks, receipt.call_count), (0, 6));
            }
        },
    );
}
