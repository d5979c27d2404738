//! Recordings: a process replays what a kernel recorded, and shows differences.

mod common;

use std::path::{Path, PathBuf};

use bareflow_protocol::recording::{End, Event, RecordedCall, Recording};
use common::{assert_code, bareflow, errors, test_blob, text};

/// A change of a recorded call.
type Change<'change> = &'change dyn Fn(&mut RecordedCall);

/// Records a boot with test modules, which must end with the exit code `code`.
fn record(domain: &str, input: &str, modules: &[&str], more: &[&str], code: i32) -> Recording {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recording");
    let words = ["boot", "--domain", domain, "--input", input, "--record"].map(PathBuf::from).into_iter();
    let blobs = modules.iter().map(|name| test_blob(name));
    let output = bareflow(words.chain([path.clone()]).chain(blobs).chain(more.iter().map(PathBuf::from)));
    assert_code(&output, code);
    Recording::from_bytes(&std::fs::read(path).unwrap()).unwrap()
}

/// Replays a recording with `modules`. Returns the output.
fn replay(recording: &Recording, modules: &[&str], code: i32) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recording");
    std::fs::write(&path, recording.to_bytes().unwrap()).unwrap();
    let output = bareflow(words(&path).into_iter().chain(modules.iter().map(|name| test_blob(name))));
    assert_code(&output, code);
    text(&output) + &errors(&output)
}

fn words(path: &Path) -> Vec<PathBuf> {
    ["host".into(), "--replay".into(), path.to_owned()].into()
}

/// Returns the first call of a module's work.
fn call_of<'all>(recording: &'all mut Recording, module: &str) -> &'all mut RecordedCall {
    recording.calls.iter_mut().find(|call| call.module == module && call.reason == 0).unwrap()
}

#[test]
fn what_a_kernel_recorded_is_the_same_in_a_process() {
    let modules = ["echo", "relay", "counter", "heap", "all-in-one", "vectors"];
    for domain in ["kernel", "user"] {
        let mut recording = record(domain, "echo hi", &modules, &["--repeat", "3"], 0);
        assert!(!recording.cut);
        let shown = replay(&recording, &modules, 0);
        let count = recording.calls.len();
        assert!(shown.contains(&format!("[OK] {count} calls of 10 modules replayed, no difference\n")), "{shown}");
        // The clock was read twice, and a line was logged in between.
        let echo = call_of(&mut recording, "echo");
        assert!(
            matches!(&echo.events[..], [Event::Clock(a), Event::Log(line), Event::Clock(b)] if a <= b && line == b"echo hi")
        );
        assert_eq!(echo.end, End::Returned { result: 7, output: b"echo hi".to_vec() });
        let relay = call_of(&mut recording, "relay");
        let expected = Event::Call {
            name: b"echo".to_vec(),
            input: b"hi".to_vec(),
            capacity: 512,
            status: 0,
            result: 2,
            output: b"hi".to_vec(),
        };
        assert_eq!(relay.events, [expected]);
        // State is kept from call to call.
        let counted = recording.calls.iter().filter(|call| call.module == "counter").count();
        assert_eq!(counted, 3);
    }
}

#[test]
fn a_module_that_shares_memory_is_not_replayed() {
    let recording = record("user", "create 1", &["echo", "sharer"], &[], 0);
    let shown = replay(&recording, &["echo", "sharer"], 0);
    assert!(shown.contains("[SKIP] sharer 0.1.0 is not replayable: it imports regions, "), "{shown}");
    let others = recording.calls.iter().filter(|call| call.module != "sharer").count();
    assert!(others > 0 && others < recording.calls.len());
    let counted = format!("[OK] {others} calls of {} modules replayed", recording.modules.len() - 1);
    assert!(shown.contains(&counted), "{shown}");
}

#[test]
fn a_fault_of_the_kernel_is_the_same_in_a_process() {
    for domain in ["kernel", "user"] {
        for input in ["recursion", "panic_words", "log_null", "divide_by_zero"] {
            let mut recording = record(domain, input, &["faults"], &["--on-fault", "restart:1", "--repeat", "2"], 1);
            let call = call_of(&mut recording, "faults").clone();
            let shown = replay(&recording, &["faults"], 0);
            assert!(shown.contains("no difference"), "{domain} {input} {:?} {shown}", call.end);
            assert_eq!(recording.calls.iter().filter(|call| call.module == "faults").count(), 2);
        }
    }
}

#[test]
fn random_numbers_of_the_kernel_are_the_same_in_a_process() {
    for domain in ["kernel", "user"] {
        let mut recording = record(domain, "1234567", &["random"], &["--repeat", "2"], 0);
        let shown = replay(&recording, &["random"], 0);
        assert!(shown.contains("no difference"), "{domain} {shown}");
        let mut outputs = recording.calls.iter().filter(|call| call.module == "random").map(|call| &call.end);
        let (first, second) = (outputs.next().unwrap(), outputs.next().unwrap());
        assert!(matches!(first, End::Returned { result: 15, output } if output.len() == 15), "{domain} {first:?}");
        assert_ne!(first, second, "{domain}");
        let call = call_of(&mut recording, "random");
        assert!(matches!(call.events[..], [Event::Invoke { .. }, Event::Invoke { .. }]), "{:?}", call.events);
    }
}

#[test]
fn shows_the_first_difference() {
    let modules = ["echo", "relay"];
    let recorded = record("kernel", "echo hi", &modules, &[], 0);
    let differs = |module: &str, change: Change<'_>| {
        let mut recording = recorded.clone();
        change(call_of(&mut recording, module));
        let shown = replay(&recording, &modules, 1);
        shown.lines().find(|line| line.starts_with("[DIFF] call ")).unwrap_or_else(|| panic!("{shown}")).to_owned()
    };
    let cases: [(&str, Change<'_>, &str); 7] = [
        (
            "echo",
            &|call| call.end = End::Returned { result: 8, output: b"echo hi".to_vec() },
            "expected the result 8 and the output \"echo hi\", found the result 7 and the output \"echo hi\"",
        ),
        (
            "echo",
            &|call| call.end = End::Returned { result: 7, output: b"echo".to_vec() },
            "expected the result 7 and the output \"echo\", found the result 7 and the output \"echo hi\"",
        ),
        (
            "echo",
            &|call| call.events[1] = Event::Log(b"other".to_vec()),
            "service call 2: expected log, \"other\", found log, \"[LOG] echo: echo hi\"",
        ),
        ("echo", &|call| call.events.swap(0, 1), "service call 1: expected log, \"echo hi\", found clock"),
        (
            "echo",
            &|call| call.events.push(Event::Clock(1)),
            "service call 4: expected clock, found the result 7 and the output \"echo hi\"",
        ),
        ("echo", &|call| call.events.truncate(2), "service call 3: expected nothing, found clock"),
        (
            "relay",
            &|call| {
                if let Event::Call { input, .. } = &mut call.events[0] {
                    *input = b"ho".to_vec();
                }
            },
            "service call 1: expected call of echo with \"ho\" and room for 512 bytes, \
             found call of echo with \"hi\" and room for 512 bytes",
        ),
    ];
    for (module, change, expected) in cases {
        let line = differs(module, change);
        assert!(line.ends_with(expected), "{line}\n{expected}");
    }
    // A clock that ran backwards is replayed as it was: the module itself detects it.
    let line = differs("echo", &|call| call.events[2] = Event::Clock(0));
    assert!(line.contains("found the result -1 and "), "{line}");
}

#[test]
fn a_recording_ends_where_there_is_no_more_room() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("input");
    std::fs::write(&input, vec![b'x'; 200_000]).unwrap();
    let recording = record("kernel", input.to_str().unwrap(), &["echo"], &["--repeat", "20"], 0);
    assert!(recording.cut);
    let kept = recording.calls.iter().filter(|call| call.module == "echo").count();
    assert!((1..20).contains(&kept), "{kept}");
    assert!(replay(&recording, &["echo"], 0).contains("the recording was cut"));
}

#[test]
fn rejects_what_is_no_recording() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recording");
    let refused = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        let output = bareflow(words(&path));
        assert_code(&output, 2);
        errors(&output)
    };
    assert!(refused(b"").contains("recording: 0 bytes, expected 12 to "));
    assert!(refused(&[0; 40]).contains("no recording: it opens with other bytes"));
    let mut recording = record("kernel", "hi", &["echo"], &[], 0);
    let mut bytes = recording.to_bytes().unwrap();
    bytes[6] = 9;
    assert!(refused(&bytes).contains("a recording of form 9, expected 1"));
    bytes[6] = 1;
    bytes[20] ^= 1;
    assert!(refused(&bytes).contains("checksum mismatch"));
    // Missing modules, and impossible calls.
    let good = recording.to_bytes().unwrap();
    let size = recording.modules.iter().find(|module| module.name == "echo").unwrap().blob_size;
    let needed = format!("the recording needs echo 0.1.0 of {size} bytes, found none of that name");
    assert!(refused(&good).contains(&needed));
    call_of(&mut recording, "sum").capacity = u32::MAX;
    assert!(refused(&recording.to_bytes().unwrap()).contains("a call with room for 4294967295 bytes of output"));
    call_of(&mut recording, "sum").capacity = 0;
    call_of(&mut recording, "sum").reason = 77;
    assert!(refused(&recording.to_bytes().unwrap()).contains("a call for reason 77"));
    let output = bareflow(words(Path::new("/no/such/recording")));
    assert_code(&output, 2);
    assert!(errors(&output).contains("can't read: "));
}
