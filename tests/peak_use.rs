//! The most stack and heap that a module's calls have used, wherever statistics are shown.

mod common;

use std::fs;
use std::path::PathBuf;

use bareflow_loader::{Domain, LoadOptions};
use bareflow_protocol::{Request, Response};
use common::server::Local;
use common::{assert_code, bareflow, test_blob, text};
use serde_json::Value;

const STACK: u64 = 64 << 10;
const HEAP: u64 = 256 << 10;

/// Runs the module `heap` with `input`, and returns the output and the module's part of the report.
fn run(command: &str, domain: &str, input: &str) -> (String, Value) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.json");
    let words = [command, "--domain", domain, "--budget", "stack=64K", "--input", input, "--json"].map(PathBuf::from);
    let output = bareflow(words.into_iter().chain([path.clone(), test_blob("heap")]));
    assert_code(&output, 0);
    let report: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    (text(&output), report["modules"][4].clone())
}

#[test]
fn a_run_says_how_much_stack_and_heap_was_used() {
    for command in ["host", "boot"] {
        for domain in ["kernel", "user"] {
            let (shown, deep) = run(command, domain, "deep");
            assert_eq!(deep["peak_heap_bytes"], 0, "{command} {domain} {deep}");
            let stack = deep["peak_stack_bytes"].as_u64();
            // All modules of the kernel domain share a stack.
            if domain == "kernel" {
                assert_eq!(stack, None, "{command} {deep}");
                assert!(!shown.contains("Peak use"), "{shown}");
            } else {
                assert!(stack.is_some_and(|bytes| (20_000..STACK).contains(&bytes)), "{command} {deep}");
                let line = format!("\n  Peak use:      stack {}, heap 0 bytes\n", stack.unwrap());
                assert!(shown.contains(&line), "{shown}");
            }
            let (shown, much) = run(command, domain, "much");
            let heap = much["peak_heap_bytes"].as_u64().unwrap();
            assert!((30_000..HEAP).contains(&heap), "{command} {domain} {much}");
            assert!(shown.contains(&format!("heap {heap} bytes\n")), "{shown}");
            let shallow = much["peak_stack_bytes"].as_u64().unwrap_or(1);
            assert!((1..8_000).contains(&shallow), "{command} {domain} {much}");
        }
    }
}

#[test]
fn what_was_used_stays_said_until_the_module_goes() {
    for domain in Domain::ALL {
        let local = Local::new(LoadOptions { domain, ..LoadOptions::default() });
        let blob = fs::read(test_blob("heap")).unwrap();
        local.load(&blob);
        let stats = || {
            let Response::Modules(modules) = local.ask(Request::Stats { module: Some("heap") }) else {
                panic!("no answer")
            };
            (modules[0].peak_stack_bytes, modules[0].peak_heap_bytes)
        };
        assert_eq!(stats().1, Some(0), "nothing was called");
        for input in [&b"much"[..], b"deep", b"leak"] {
            local.call("heap", input);
        }
        let (stack, heap) = stats();
        assert!(heap.is_some_and(|bytes| (30_000..HEAP).contains(&bytes)), "{heap:?}");
        match domain {
            Domain::Kernel => assert_eq!(stack, None),
            Domain::User | Domain::Sandbox => {
                assert!(stack.is_some_and(|bytes| (20_000..STACK).contains(&bytes)), "{stack:?}")
            }
        }
        // The next load has used nothing of it.
        local.load(&blob);
        assert_eq!(stats().1, Some(0));
        assert!(stats().0.is_none_or(|bytes| bytes < 8_000));
    }
}

#[test]
fn inspect_says_what_a_module_gets() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("inspection.json");
    let output = bareflow(["inspect".into(), "--json".into(), path.clone(), test_blob("heap")]);
    assert_code(&output, 0);
    let expected = "\nBudget: 1000000 us, stack 65536, heap 262144 bytes\n  limits: 60000000 us, stack 1048576, heap 16777216, data 67108864, memory 67108864 bytes";
    assert!(text(&output).contains(expected), "{}", text(&output));
    let found: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    assert_eq!((&found["budget"]["heap"], &found["limits"]["stack"]), (&HEAP.into(), &(1 << 20).into()));
}
