//! The fault campaign: the same seed gives the same result, whether in one run or two, and a driver comes back.

mod common;

use std::path::Path;

use common::{assert_code, bareflow, text};

/// Runs a campaign and returns its JSON.
fn inject(folder: &Path, state: &str, domain: &str, count: &str) -> serde_json::Value {
    let (state, json) = (folder.join(state), folder.join("summary.json"));
    let arguments = ["inject", "--seed", "7", "--domain", domain, "--count", count, "--jobs", "2"];
    let paths = ["--state".as_ref(), state.as_os_str(), "--json".as_ref(), json.as_os_str()];
    let output = bareflow(arguments.map(std::ffi::OsStr::new).into_iter().chain(paths));
    assert_code(&output, 0);
    assert!(text(&output).contains("recovered"), "{}", text(&output));
    serde_json::from_str(&std::fs::read_to_string(json).unwrap()).unwrap()
}

#[test]
fn the_kernel_survives_and_the_seed_decides() {
    let folder = tempfile::tempdir().unwrap();
    let first = inject(folder.path(), "one", "user", "2300");
    assert_eq!((first["injected"].as_u64(), first["kernel_lost"].as_u64()), (Some(2300), Some(0)));
    assert_eq!(first["recovered"], first["manifested"]);
    assert!(first["manifested"].as_u64().unwrap() > 100, "{first}");
    // The first piece is done already when the second run begins.
    inject(folder.path(), "two", "user", "2000");
    assert_eq!(inject(folder.path(), "two", "user", "2300"), first);
}

#[test]
fn a_lost_kernel_is_counted_and_booted_again() {
    let folder = tempfile::tempdir().unwrap();
    let summary = inject(folder.path(), "kernel", "kernel", "300");
    assert_eq!(summary["injected"].as_u64(), Some(300));
    let sum = |names: [&str; 3]| names.iter().map(|name| summary[name].as_u64().unwrap()).sum::<u64>();
    assert_eq!(Some(sum(["contained", "silent_wrong", "kernel_lost"])), summary["manifested"].as_u64());
}

#[test]
fn a_module_that_is_not_called_is_refused() {
    let files = ["--count", "1", "--jobs", "1"].map(std::ffi::OsStr::new).into_iter();
    let blob = common::test_blob("kinds");
    let output = bareflow(["inject".as_ref()].into_iter().chain(files).chain([blob.as_os_str()]));
    assert_code(&output, 2);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("no `run`"), "{said}");
}

/// Disturbs the driver of a card while its user asks the network by it.
fn inject_into(folder: &Path, name: &str) -> std::process::Output {
    let blobs = [common::driver_blob("virtio-net"), common::test_blob("arp")];
    let (state, json) = (folder.join("state"), folder.join("summary.json"));
    let arguments = ["inject", "--into", name, "--net", "--count", "200", "--jobs", "2"].map(std::ffi::OsStr::new);
    let paths = ["--state".as_ref(), state.as_os_str(), "--json".as_ref(), json.as_os_str()];
    bareflow(arguments.into_iter().chain(paths).chain(blobs.iter().map(|path| path.as_os_str())))
}

#[test]
fn the_network_is_back_after_each_fault_of_a_driver() {
    let folder = tempfile::tempdir().unwrap();
    assert_code(&inject_into(folder.path(), "virtio-net"), 0);
    let json = std::fs::read_to_string(folder.path().join("summary.json")).unwrap();
    let summary: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((summary["injected"].as_u64(), summary["kernel_lost"].as_u64()), (Some(200), Some(0)));
    assert_eq!(summary["recovered"], summary["manifested"]);
    assert!(summary["contained"].as_u64().unwrap() > 5, "{summary}");
    // The last one is called, and not disturbed.
    for name in ["arp", "tcpip"] {
        let refused = inject_into(folder.path(), name);
        assert_code(&refused, 2);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(said.contains(&format!("--into {name}")), "{said}");
    }
}
