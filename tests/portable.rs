//! Portable modules, from a file to a call: in a process, in a kernel, pushed, and on a disk. The engine is the test module
//! that does what a file says, under the name of the compiler.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use bareflow::client::{Client, upload};
use bareflow::embedded::KERNEL;
use bareflow::options::Options;
use bareflow_loader::portable::engine::WASM_MARK;
use bareflow_protocol::control::{LoadOverrides, Push, RefusalCode};
use bareflow_protocol::report::Report;
use bareflow_protocol::tier::Tier;
use bareflow_protocol::{Request, Response};
use clap::Parser;
use common::kernel::{call, push_with, with_kernel};
use common::mutate::renamed;
use common::{assert_code, bareflow, errors, test_blob, text};
use serde_json::Value;
use sham_engine::{EXHAUSTS, HONEST, PANICS, REFUSES, SPINS};
use tempfile::TempDir;

/// Returns a file that the engine makes the blob of `module` of.
fn portable(module: &str) -> Vec<u8> {
    file(HONEST, &fs::read(test_blob(module)).unwrap())
}

/// Returns the engine.
fn engine() -> Vec<u8> {
    renamed("sham-engine", "compiler", (0, 1, 0))
}

/// Returns a file that makes the engine do what `word` says.
fn file(word: u8, rest: &[u8]) -> Vec<u8> {
    [&WASM_MARK[..], &[word], rest].concat()
}

/// A folder with portable modules: one that runs, and one for each way in which an engine can fail.
struct Files(TempDir);

impl Files {
    fn new() -> Files {
        let folder = tempfile::tempdir().unwrap();
        let files = [
            ("echo.wasm", portable("echo")),
            ("refused.wasm", file(REFUSES, b"")),
            ("panics.wasm", file(PANICS, b"")),
            ("loops.wasm", file(SPINS, b"")),
            ("hungry.wasm", file(EXHAUSTS, b"")),
            ("cut.wasm", WASM_MARK[..7].to_vec()),
            ("empty.wasm", WASM_MARK.to_vec()),
        ];
        for (name, bytes) in files {
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        fs::create_dir(folder.path().join("engines")).unwrap();
        fs::write(folder.path().join("engines/compiler.mod"), engine()).unwrap();
        Files(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn engines(&self) -> PathBuf {
        self.path("engines")
    }
}

/// Files that are refused, each with a part of the reason.
const REFUSED: [(&str, &str); 6] = [
    ("refused.wasm", "engine compiler: function 7 is not to its taste"),
    ("panics.wasm", "the engine compiler faulted: panic"),
    ("loops.wasm", "the engine compiler faulted: time_budget"),
    ("hungry.wasm", "the engine compiler faulted: heap_budget"),
    ("cut.wasm", "no WebAssembly in its binary format"),
    ("empty.wasm", "engine compiler: "),
];

/// Runs a command that is given all files, of which one runs and the others are refused. Returns the report.
#[track_caller]
fn run_all(command: &str, files: &Files, more: &[&str]) -> Report {
    let json = files.path("report.json");
    let mut arguments = vec![command.to_owned()];
    // The engine comes last: those that need it wait for it.
    for (name, _) in REFUSED {
        arguments.push(files.path(name).display().to_string());
    }
    for path in [files.path("echo.wasm"), files.engines().join("compiler.mod")] {
        arguments.push(path.display().to_string());
    }
    arguments.extend(["--input", "hello", "--budget", "compiler.time=200ms", "--json"].map(str::to_owned));
    arguments.push(json.display().to_string());
    arguments.extend(more.iter().map(|more| (*more).to_owned()));
    let output = bareflow(&arguments);
    assert_code(&output, 1);
    let report: Report = serde_json::from_slice(&fs::read(json).unwrap()).unwrap();
    for (name, expected) in REFUSED {
        let found = report.refused.iter().find(|refused| refused.source.ends_with(name));
        let found = found.unwrap_or_else(|| panic!("{name}\n{}", text(&output)));
        assert!(found.error.contains(expected), "{name}: {}", found.error);
    }
    assert_eq!(report.refused.len(), REFUSED.len(), "{}", text(&output));
    let echo = report.tests.iter().find(|test| test.module == "echo").unwrap();
    assert_eq!((echo.result, echo.passed), (Some(5), true));
    let of = |name: &str| report.modules.iter().find(|module| module.name == name).unwrap();
    assert_eq!((of("echo").engine.as_deref(), of("echo").tier), (Some("compiler@0.1.0"), Some(2)));
    assert_eq!((of("sum").engine.as_deref(), of("sum").tier), (None, None));
    // Each fault of the engine was followed by a restart.
    let engine = of("compiler");
    assert_eq!((&*engine.domain, &*engine.state, engine.faults, engine.restarts), ("user", "loaded", 3, 3));
    assert_eq!(report.tests.iter().filter(|test| test.passed).count(), 5);
    report
}

#[test]
fn files_wait_for_their_engine_and_its_failures_harm_no_other_in_a_process() {
    let files = Files::new();
    for domain in ["kernel", "user"] {
        let report = run_all("host", &files, &["--domain", domain]);
        assert_eq!(domain_of_echo(&report), domain);
    }
}

/// Returns the domain that the one module runs in.
fn domain_of_echo(report: &Report) -> &str {
    &report.modules.iter().find(|module| module.name == "echo").unwrap().domain
}

#[test]
fn the_sandbox_trusts_the_engines_of_the_option_and_none_among_the_files() {
    let files = Files::new();
    let (json, engines) = (files.path("report.json"), files.engines());
    for (engine, runs_in) in
        [(vec![engines.join("compiler.mod")], "user"), (vec!["--engines".into(), engines], "sandbox")]
    {
        let options = ["host", "--domain", "sandbox", "--input", "hello", "--json"].map(PathBuf::from);
        assert_code(&bareflow(options.into_iter().chain([json.clone(), files.path("echo.wasm")]).chain(engine)), 0);
        let report = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
        assert_eq!(domain_of_echo(&report), runs_in);
    }
}

#[test]
fn files_wait_for_their_engine_and_its_failures_harm_no_other_in_a_kernel() {
    let files = Files::new();
    // An engine among the files is not trusted.
    assert_eq!(domain_of_echo(&run_all("boot", &files, &["--domain", "sandbox"])), "user");
}

#[test]
fn without_an_engine_a_file_is_refused_by_name() {
    let files = Files::new();
    let echo = files.path("echo.wasm");
    // Neither the folder nor the place of the command has any.
    for folder in [Some(files.path("")), None] {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_bareflow"));
        command.args(["host".as_ref(), echo.as_os_str()]).current_dir(files.path(""));
        if let Some(folder) = folder {
            command.arg("--engines").arg(folder);
        }
        let output = command.output().unwrap();
        assert_code(&output, 2);
        assert!(errors(&output).contains("compiler.mod or interpreter.mod"), "{}", errors(&output));
    }
    // An engine of another tier is none.
    let output = bareflow([
        "host".as_ref(),
        echo.as_os_str(),
        "--tier".as_ref(),
        "0".as_ref(),
        "--engines".as_ref(),
        files.engines().as_os_str(),
    ]);
    assert_code(&output, 2);
    assert!(errors(&output).contains("expected interpreter.mod"), "{}", errors(&output));
}

/// Sends a file with `overrides`, and returns the answer.
fn push(client: &mut Client, bytes: &[u8], overrides: LoadOverrides<'_>) -> Result<Response, String> {
    upload(client, bytes, &mut |_, _| ()).unwrap();
    let push = Push { label: "some/name.wasm", overrides, beside: false, gate: None };
    client.ask(Request::Push(push)).map_err(|error| error.to_string())
}

fn memory(client: &mut Client) -> (u64, u64, u64) {
    match client.ask(Request::Memory) {
        Ok(Response::Memory { pages, arena_bytes, table_bytes }) => (pages, arena_bytes, table_bytes),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_served_kernel_takes_files_and_loses_nothing() {
    let (echo, engine) = (portable("echo"), engine());
    let native = fs::read(test_blob("echo")).unwrap();
    with_kernel(
        |_| (),
        |client| {
            let error = push(client, &echo, LoadOverrides::default()).unwrap_err();
            assert!(
                error.contains("no engine is loaded, expected compiler or interpreter; `bareflow build"),
                "{error}"
            );
            push_with(client, &engine, LoadOverrides::default());
            let error =
                push(client, &echo, LoadOverrides { tier: Some(Tier::Interpreted), ..LoadOverrides::default() });
            assert!(error.as_ref().is_err_and(|error| error.contains("no engine interpreter is loaded")), "{error:?}");
            let Response::Modules(found) = client.ask(Request::Ps).unwrap() else { panic!("no modules") };
            let engine = found.iter().find(|module| module.name == "compiler").unwrap();
            assert_eq!(&*engine.domain, "user");
            let quick = LoadOverrides { tier: Some(Tier::Quick), ..LoadOverrides::default() };
            for _ in 0..2 {
                assert!(matches!(push(client, &echo, quick), Ok(Response::Loaded(_))));
                assert_eq!(call(client, "echo", b"hello").output, b"hello");
            }
            let Response::Modules(found) = client.ask(Request::Stats { module: Some("echo") }).unwrap() else {
                panic!("no modules")
            };
            assert_eq!((found[0].engine.as_deref(), found[0].tier), (Some("compiler@0.1.0"), Some(1)));
            // It is replaced by a native one, and the other way round, and each time all is given back.
            push_with(client, &native, LoadOverrides::default());
            assert!(matches!(push(client, &echo, quick), Ok(Response::Loaded(_))));
            let Ok(Response::Unloaded(receipt)) = client.ask(Request::Unload { module: "echo" }) else {
                panic!("loaded")
            };
            assert_eq!(receipt.table_bytes_held, receipt.table_bytes_returned);
            let mut fail = || {
                for (word, expected) in [(REFUSES, "function 7"), (PANICS, "faulted: panic"), (EXHAUSTS, "heap_budget")]
                {
                    let error = push(client, &file(word, b""), LoadOverrides::default()).unwrap_err();
                    assert!(error.contains(expected), "{error}");
                }
                memory(client)
            };
            // The first fault leaves its diagnosis.
            let before = fail();
            assert_eq!([fail(), fail()], [before, before]);
            // What it makes is checked as any blob is.
            let mut wrong = native.clone();
            wrong[200] ^= 1;
            let error = push(client, &file(HONEST, &wrong), LoadOverrides::default()).unwrap_err();
            assert!(error.contains("checksum mismatch"), "{error}");
            let Ok(Response::Modules(found)) = client.ask(Request::Stats { module: Some("compiler") }) else {
                panic!("no modules")
            };
            assert_eq!((found[0].faults, &*found[0].state), (6, "loaded"));
            assert!(found[0].diagnosis.is_some());
            assert_eq!(memory(client), before);
            assert!(matches!(push(client, &echo, quick), Ok(Response::Loaded(_))));
            let error = client.ask(Request::Save { module: "echo" }).unwrap_err().to_string();
            assert!(error.contains("echo: is portable, and only native modules are saved"), "{error}");
            let beside = Push { label: "x", overrides: quick, beside: true, gate: None };
            upload(client, &echo, &mut |_, _| ()).unwrap();
            let error = client.ask(Request::Push(beside)).unwrap_err();
            let refusal = error.downcast::<bareflow_protocol::control::Refusal>().unwrap();
            assert_eq!(refusal.code, RefusalCode::Refused);
            assert!(refusal.error.contains("`--beside`"), "{refusal}");
        },
    );
}

#[test]
fn a_disk_holds_portable_modules_and_their_engine() {
    let files = Files::new();
    let (image, json) = (files.path("disk.img"), files.path("report.json"));
    let create = |contents: &[PathBuf]| {
        let mut arguments = vec![PathBuf::from("disk"), "create".into(), "--force".into(), image.clone()];
        arguments.extend(contents.iter().cloned());
        assert_code(&bareflow(arguments), 0);
    };
    let boot = || {
        let output =
            bareflow(["boot".as_ref(), "--disk".as_ref(), image.as_os_str(), "--json".as_ref(), json.as_os_str()]);
        (output, serde_json::from_slice::<Report>(&fs::read(&json).unwrap()).unwrap())
    };
    create(&[files.path("echo.wasm")]);
    let (output, report) = boot();
    assert_code(&output, 1);
    assert_eq!(report.refused[0].source, "/modules/echo.wasm");
    assert!(report.refused[0].error.contains("no engine is loaded"), "{}", report.refused[0].error);
    create(&[files.path("echo.wasm"), files.engines().join("compiler.mod")]);
    let (output, report) = boot();
    assert_code(&output, 0);
    let echo = report.modules.iter().find(|module| module.name == "echo").unwrap();
    assert_eq!(echo.tier, Some(2));
    with_kernel(
        |machine| machine.data_disk = Some(image.clone()),
        |client| {
            let load = |path| Request::Load { path, overrides: LoadOverrides::default() };
            for path in ["/modules/echo.wasm", "/modules/ECHO.WASM", "echo"] {
                assert!(matches!(client.ask(load(path)), Ok(Response::Loaded(_))), "{path}");
                assert_eq!(call(client, "echo", b"abc").result, 3);
            }
        },
    );
}

#[test]
fn what_takes_native_modules_only_says_so() {
    let files = Files::new();
    let (echo, engines) = (files.path("echo.wasm"), files.engines());
    let run = |arguments: &[&Path]| {
        let output = bareflow(arguments);
        assert_ne!(output.status.code(), Some(0), "{arguments:?}");
        errors(&output)
    };
    let said = run(&["boot".as_ref(), &echo, "--record".as_ref(), &files.path("r"), "--engines".as_ref(), &engines]);
    assert!(said.contains("--record: there is a portable module"), "{said}");
    let said = run(&["interfaces".as_ref(), &echo]);
    assert!(said.contains("WebAssembly, expected a native module here"), "{said}");
}

#[test]
fn a_file_is_tested_by_a_call() {
    let files = Files::new();
    let json = files.path("outcome.json");
    let output = bareflow([
        "test".as_ref(),
        files.path("echo.wasm").as_os_str(),
        "--boot".as_ref(),
        "--engines".as_ref(),
        files.engines().as_os_str(),
        "--json".as_ref(),
        json.as_os_str(),
    ]);
    assert_code(&output, 0);
    let outcome: Value = serde_json::from_slice(&fs::read(json).unwrap()).unwrap();
    assert_eq!(outcome["modules"][0]["name"], "echo", "{outcome}");
    assert!(text(&output).contains("echo"), "{}", text(&output));
}

#[test]
fn tiers_have_the_names_that_options_take() {
    for (tier, name) in Tier::ALL.map(|tier| (tier, tier.name())) {
        let options = Options::try_parse_from(["bareflow", "push", "x.wasm", "--tier", name]).unwrap();
        let bareflow::options::Command::Push(options) = options.command else { panic!("no push") };
        assert_eq!(options.overrides.overrides("").tier, Some(tier));
    }
}

#[test]
fn the_kernel_has_no_engine_in_it() {
    let has = |name: &str| KERNEL.windows(name.len()).any(|window| window == name.as_bytes());
    // The names in its symbols are those of crates.
    assert!(has("bareflow_suite") && has("bareflow_loader"));
    for library in ["wasmparser", "cranelift", "regalloc2", "wasmi"] {
        assert!(!has(library), "{library}");
    }
}
