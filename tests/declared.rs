//! Declared services: a module can't be loaded if it declares more than the policy allows, and can't use others than it
//! declares.

mod common;

use std::path::PathBuf;

use bareflow_abi::header::{SERVICE_CALL, SERVICE_CLOCK, SERVICE_LOG};
use common::mutate::{file, with_header};
use common::{assert_code, bareflow, driver_blob, errors, test_blob, text};
use serde_json::Value;

/// The commands that run modules, and the domains in which they do.
const PLACES: [(&str, &str); 4] = [("host", "kernel"), ("host", "user"), ("boot", "kernel"), ("boot", "user")];

/// Runs a blob in a given place. Returns the output and the report.
fn run(place: (&str, &str), allow: &str, blob: PathBuf, input: &str, code: i32) -> (String, Value) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.json");
    let words = [place.0, "--domain", place.1, "--allow", allow, "--input", input, "--json"].map(PathBuf::from);
    let output = bareflow(words.into_iter().chain([path.clone(), blob]));
    assert_code(&output, code);
    (text(&output), serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap())
}

#[test]
fn refuses_what_the_policy_does_not_allow_and_names_it() {
    for place in PLACES {
        let (_, report) = run(place, "log,call", test_blob("echo"), "hello", 1);
        let error = report["refused"][0]["error"].as_str().unwrap();
        assert!(error.starts_with("not allowed: the module declares clock, the policy allows log,call; "), "{error}");
        let (_, report) = run(place, "log,clock", test_blob("heap"), "fill", 1);
        let error = report["refused"][0]["error"].as_str().unwrap();
        assert!(error.starts_with("not allowed: the module declares heap, "), "{error}");
        let (shown, report) = run(place, "log,clock", test_blob("echo"), "hello", 0);
        assert!(shown.contains("  [LOG] echo: hello\n"), "{shown}");
        assert_eq!(report["refused"].as_array().map(Vec::len), Some(0));
    }
}

#[test]
fn ends_a_module_that_uses_what_it_does_not_declare() {
    let folder = tempfile::tempdir().unwrap();
    let cases = [
        ("echo", "hello", SERVICE_CLOCK, "  called log("),
        ("echo", "hello", SERVICE_LOG, "  called clock("),
        ("faults", "call_undeclared", SERVICE_LOG, "  called call("),
    ];
    for (module, input, declared, called) in cases {
        let bytes = std::fs::read(test_blob(module)).unwrap();
        let bytes = with_header(&bytes, |header| header.services = declared);
        let blob = file(folder.path(), &format!("{module}-{declared}.mod"), &bytes);
        for place in PLACES {
            let (shown, report) = run(place, "all", blob.clone(), input, 1);
            let fault = &report["modules"][4]["fault"];
            assert_eq!(fault["kind"], "general_protection", "{place:?} {shown}");
            assert!(fault["offset"].as_u64().is_some_and(|offset| offset > 0), "{place:?} {fault}");
            let line =
                shown.lines().find(|line| line.starts_with(called)).unwrap_or_else(|| panic!("{place:?} {shown}"));
            assert!(line.ends_with(", which it does not declare"), "{line}");
            assert!(!shown.contains("  [LOG] "), "{shown}");
        }
    }
}

#[test]
fn the_stub_of_a_service_ends_a_module_that_does_not_declare_it() {
    // Services with arguments that no compiled module would pass; none of these is read.
    let folder = tempfile::tempdir().unwrap();
    let bytes = std::fs::read(test_blob("faults")).unwrap();
    let blob = file(folder.path(), "faults.mod", &with_header(&bytes, |header| header.services = SERVICE_CALL));
    for place in PLACES {
        for input in ["log_null", "log_wild_context", "log_with_direction", "clock_null_context"] {
            let (shown, report) = run(place, "call,heap", blob.clone(), input, 1);
            assert_eq!(report["modules"][4]["fault"]["kind"], "general_protection", "{place:?} {input}\n{shown}");
        }
    }
}

#[test]
fn inspect_shows_what_is_declared_and_judges_it() {
    let output = bareflow(["inspect".into(), test_blob("echo")]);
    assert_code(&output, 0);
    assert!(text(&output).contains("\ndeclares log,clock\n"), "{}", text(&output));
    let output = bareflow(["inspect".into(), "--allow".into(), "log".into(), test_blob("echo")]);
    assert_code(&output, 1);
    let verdict = "\nVerdict: refused: not allowed: the module declares clock, the policy allows log; ";
    assert!(text(&output).contains(verdict), "{}", text(&output));
}

#[test]
fn inspect_judges_a_driver_as_a_load_does() {
    let inspect = |allow: &str| bareflow(["inspect".into(), "--allow".into(), allow.into(), driver_blob("virtio-net")]);
    for allow in ["all", "all,device-trusted", "interfaces,device:virtio:net"] {
        let output = inspect(allow);
        assert_code(&output, 0);
        assert!(text(&output).ends_with("\nVerdict: valid\n"), "{allow}: {}", text(&output));
    }
    let output = inspect("interfaces");
    assert_code(&output, 1);
    let verdict = "\nVerdict: refused: not allowed: the module drives virtio:net, which the policy does not name; ";
    assert!(text(&output).contains(verdict), "{}", text(&output));
}

#[test]
fn imports_are_allowed_by_the_names_of_interfaces() {
    for place in PLACES {
        let (_, report) = run(place, "log,interface:random", test_blob("random"), "12345678", 0);
        assert_eq!(report["refused"].as_array().map(Vec::len), Some(0));
        let (_, report) = run(place, "log,interface:files", test_blob("random"), "12345678", 1);
        let error = report["refused"][0]["error"].as_str().unwrap();
        let expected = "not allowed: import random is of the interface random, which the policy does not name; add \
                        interface:random to it (`--allow`), or leave the module out";
        assert_eq!(error, expected, "{place:?}");
        let (_, report) = run(place, "log", test_blob("random"), "12345678", 1);
        let error = report["refused"][0]["error"].as_str().unwrap();
        assert!(error.starts_with("not allowed: the module declares interfaces, the policy allows log; "), "{error}");
    }
    let inspect = |allow: &str| bareflow(["inspect".into(), "--allow".into(), allow.into(), test_blob("random")]);
    assert_code(&inspect("interface:random"), 0);
    assert_code(&inspect("log,interface:files"), 1);
}

#[test]
fn rejects_a_policy_that_means_nothing() {
    let output = bareflow(["host", "--allow", "log,network"]);
    assert_code(&output, 2);
    assert!(
        errors(&output).contains("\"network\" can't be allowed, expected all, none, or some of log,clock,call,heap")
    );
}
