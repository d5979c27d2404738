//! WebAssembly in the engines of this repository: what runs in all places, and what is refused in all ways.

mod common;
#[path = "portable_engines/instructions.rs"]
mod instructions;

use std::fs;
use std::path::{Path, PathBuf};

use bareflow::client::{Client, upload};
use bareflow::input_files::InputFiles;
use bareflow_builder::build_module;
use bareflow_builder::discover::engines;
use bareflow_loader::{Budget, Domain, FaultKind};
use bareflow_protocol::control::{LoadOverrides, Push};
use bareflow_protocol::report::{Module, Report};
use bareflow_protocol::tier::Tier;
use bareflow_protocol::{Request, Response};
use common::kernel::{call, unload, with_kernel};
use common::{assert_code, bareflow, root, test_blob};
use tempfile::TempDir;

/// The program of the gallery's `wasmi`, which counts primes, with the entry `run: () -> i32` that counts those below 1000.
const SIEVE: &[u8] = b"\0asm\x01\0\0\0\
    \x01\x0a\x02\x60\x01\x7f\x01\x7f\x60\0\x01\x7f\
    \x03\x03\x02\0\x01\
    \x07\x07\x01\x03run\0\x01\
    \x0a\x59\x02\x4f\x01\x03\x7f\x41\x02\x21\x01\x02\x40\x03\x40\x20\x01\x20\0\x4f\x0d\x01\x41\x02\x21\x02\x02\x40\x03\x40\x20\x02\
    \x20\x02\x6c\x20\x01\x4b\x04\x40\x20\x03\x41\x01\x6a\x21\x03\x0c\x02\x0b\x20\x01\x20\x02\x70\x45\x0d\x01\x20\x02\x41\x01\x6a\
    \x21\x02\x0c\0\x0b\x0b\x20\x01\x41\x01\x6a\x21\x01\x0c\0\x0b\x0b\x20\x03\x0b\
    \x07\0\x41\xe8\x07\x10\0\x0b";

/// A module that imports `env.print`.
const PRINTS: &[u8] = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x02\x0d\x01\x03env\x05print\0\0";

/// The engines that this repository has, each with a tier of its own.
const ENGINES: [(&str, &str); 2] = [("interpreter", "0"), ("compiler", "2")];

/// A folder with engines, which is where `build --engines` puts them, and one with files.
struct Files {
    engines: PathBuf,
    files: TempDir,
}

impl Files {
    fn new() -> Files {
        let workspace = engines(&root().join("Cargo.toml")).unwrap();
        let engines = workspace.target.join("engines");
        let modules: Vec<_> =
            workspace.modules.iter().filter(|module| ENGINES.iter().any(|(name, _)| *name == module.name)).collect();
        assert!(!modules.is_empty());
        for module in modules {
            build_module(module, &engines).unwrap_or_else(|error| panic!("{error}"));
        }
        let files = tempfile::tempdir().unwrap();
        fs::write(files.path().join("sieve.wasm"), SIEVE).unwrap();
        Files { engines, files }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// Returns the engines that were built, with their tiers and their files.
    fn engines(&self) -> impl Iterator<Item = (&'static str, &'static str, PathBuf)> {
        let file =
            |(name, tier): (&'static str, &'static str)| (name, tier, self.engines.join(name).with_extension("mod"));
        ENGINES.map(file).into_iter().filter(|(_, _, file)| file.is_file())
    }
}

/// Checks the report of a run of the sieve.
#[track_caller]
fn check(json: &Path, engine: &str, tier: &str, domain: &str) {
    let report: Report = serde_json::from_slice(&fs::read(json).unwrap()).unwrap();
    let test = report.tests.iter().find(|test| test.module == "sieve").unwrap();
    assert_eq!(test.result, Some(168), "{engine}");
    let of = |name: &str| report.modules.iter().find(|module| module.name == name).unwrap();
    assert!(of("sieve").engine.as_ref().is_some_and(|found| found.starts_with(&format!("{engine}@"))), "{engine}");
    assert_eq!((of("sieve").tier.unwrap().to_string().as_str(), &*of("sieve").domain), (tier, domain));
    assert_eq!((&*of(engine).domain, of(engine).faults), ("user", 0));
}

#[test]
fn the_sieve_runs_in_processes_in_archives_and_on_disks() {
    let files = Files::new();
    let (json, sieve, image) = (files.path("report.json"), files.path("sieve.wasm"), files.path("disk.img"));
    let folder = files.engines.display().to_string();
    for (engine, tier, file) in files.engines() {
        for command in ["host", "boot"] {
            for domain in Domain::CHOICES.map(Domain::name) {
                let options =
                    [command, "--domain", domain, "--tier", tier, "--engines", &folder, "--json"].map(PathBuf::from);
                assert_code(&bareflow(options.iter().chain([&json, &sieve])), 0);
                // Interpreted code has no guard, and native code nobody's word.
                let runs_in = if (domain, engine) == ("sandbox", "interpreter") { "user" } else { domain };
                check(&json, engine, tier, runs_in);
            }
        }
        let create = ["disk", "create", "--force"].map(PathBuf::from);
        assert_code(&bareflow(create.iter().chain([&image, &sieve, &file])), 0);
        let boot = ["boot", "--tier", tier, "--disk"].map(PathBuf::from);
        assert_code(&bareflow(boot.iter().chain([&image, &"--json".into(), &json])), 0);
        check(&json, engine, tier, "kernel");
    }
}

#[test]
fn bits_that_flip_in_compiled_code_harm_its_module_alone() {
    let files = Files::new();
    let (state, json) = (files.path("state"), files.path("summary.json"));
    let options = ["inject", "--seed", "7", "--count", "300", "--jobs", "1", "--state"].map(PathBuf::from);
    let rest =
        [state, "--json".into(), json.clone(), "--engines".into(), files.engines.clone(), files.path("sieve.wasm")];
    assert_code(&bareflow(options.iter().chain(&rest)), 0);
    let summary: serde_json::Value = serde_json::from_slice(&fs::read(json).unwrap()).unwrap();
    assert_eq!((summary["injected"].as_u64(), summary["kernel_lost"].as_u64()), (Some(300), Some(0)), "{summary}");
    assert!(summary["recovered"] == summary["manifested"] && summary["manifested"].as_u64() > Some(10), "{summary}");
}

fn push(client: &mut Client, bytes: &[u8], overrides: LoadOverrides<'_>) -> Result<(), String> {
    upload(client, bytes, &mut |_, _| ()).unwrap();
    let push = Push { label: "sieve.wasm", overrides, beside: false, gate: None };
    client.ask(Request::Push(push)).map(drop).map_err(|error| error.to_string())
}

fn memory(client: &mut Client) -> Response {
    client.ask(Request::Memory).unwrap()
}

/// Returns WebAssembly of so many bytes besides the sieve's.
fn padded(bytes: usize) -> Vec<u8> {
    let mut size = Vec::new();
    bareflow_abi::leb128::write(bytes as u64 + 4, &mut |part| size.extend_from_slice(part));
    [SIEVE, b"\0", &size, b"\x03pad", &vec![0; bytes]].concat()
}

#[test]
fn what_is_hostile_is_refused_and_nothing_is_lost() {
    let files = Files::new();
    for (engine, tier, file) in files.engines() {
        let blob = fs::read(file).unwrap();
        let own = LoadOverrides { tier: Tier::from_name(tier), ..LoadOverrides::default() };
        let budget = |text: &str| Some(Budget { heap_bytes: 64 << 20, ..Budget::LIMITS }.parse(text).unwrap());
        with_kernel(
            |machine| machine.memory_megabytes = 1024,
            |client| {
                // Two of them have room beside each other, as a reload takes.
                push(client, &blob, LoadOverrides { budget: budget("time=60s"), ..own }).unwrap();
                assert_eq!(push(client, SIEVE, own), Ok(()), "{engine}");
                assert_eq!(call(client, "sieve", b"").result, 168);
                push(client, &padded(8 << 20), own).unwrap_or_else(|error| panic!("{engine}: {error}"));
                push(client, SIEVE, own).unwrap();
                let attack = |client: &mut Client| {
                    for length in (8..SIEVE.len()).step_by(7) {
                        let error = push(client, &SIEVE[..length], own).unwrap_err();
                        assert!(error.starts_with(&format!("engine {engine}: ")), "{length}: {error}");
                    }
                    for at in (8..SIEVE.len()).step_by(5) {
                        let mut damaged = SIEVE.to_vec();
                        damaged[at] ^= 0x55;
                        // Whatever comes of it; it may be a program that does something else.
                        let _ = push(client, &damaged, own);
                    }
                    let error = push(client, PRINTS, own).unwrap_err();
                    assert!(error.contains("env") && error.contains("print"), "{error}");
                    push(client, SIEVE, own).unwrap();
                    memory(client)
                };
                let before = attack(client);
                assert_eq!(attack(client), before, "{engine}");
                // An engine that has too little is restarted, and does the next module.
                for (limits, fault) in [("time=200us", "time_budget"), ("heap=32K", "")] {
                    push(client, &blob, LoadOverrides { budget: budget(limits), ..LoadOverrides::default() }).unwrap();
                    for _ in 0..2 {
                        let error = push(client, &padded(1 << 20), own).unwrap_err();
                        assert!(error.contains(&format!("engine {engine}")) && error.contains(fault), "{error}");
                    }
                }
                push(client, &blob, LoadOverrides { budget: budget("time=60s"), ..LoadOverrides::default() }).unwrap();
                push(client, SIEVE, own).unwrap();
                assert_eq!(call(client, "sieve", b"").result, 168);
                let Ok(Response::Unloaded(receipt)) = client.ask(Request::Unload { module: "sieve" }) else {
                    panic!("it is loaded")
                };
                assert_eq!(
                    (receipt.pages_held, receipt.table_bytes_held),
                    (receipt.pages_returned, receipt.table_bytes_returned)
                );
            },
        );
    }
}

/// Returns a module of the tests as WebAssembly.
fn portable(files: &Files, name: &str) -> Vec<u8> {
    let manifest = root().join("tests/modules").join(name);
    assert_code(&bareflow([PathBuf::from("build"), "--portable".into(), manifest]), 0);
    let built = files.engines.with_file_name("modules").join(name).with_extension("wasm");
    fs::read(built).unwrap()
}

/// A program that traps in the way that its input's first byte says: in the order of the kinds in `TRAPS`. Another byte makes
/// it return 0.
const TRAPPER: &str = r#"(module
    (import "bareflow" "input_read" (func $input_read (param i32 i32 i32) (result i32)))
    (memory (export "memory") 1 1)
    (table 2 funcref)
    (elem (i32.const 0) $nothing)
    (func $nothing)
    (func $recurse (result i32) (i32.add (call $recurse) (i32.const 1)))
    (func (export "run") (result i32)
        (drop (call $input_read (i32.const 0) (i32.const 0) (i32.const 1)))
        (block $none (block $8 (block $7 (block $6 (block $5 (block $4 (block $3 (block $2 (block $1 (block $0
            (br_table $0 $1 $2 $3 $4 $5 $6 $7 $8 $none (i32.load8_u (i32.const 0))))
        unreachable)
        (return (i32.load (i32.const 0x7fffffff))))
        (return (call_indirect (result i32) (i32.const 99))))
        (return (call_indirect (result i32) (i32.const 1))))
        (return (call_indirect (result i32) (i32.const 0))))
        (return (i32.div_u (i32.const 1) (i32.load (i32.const 8)))))
        (return (i32.div_s (i32.const 0x80000000) (i32.sub (i32.load (i32.const 8)) (i32.const 1)))))
        (return (i32.trunc_f32_s (f32.const nan))))
        (return (call $recurse)))
        (i32.const 0)))"#;

/// The kinds of faults of `TRAPPER`.
const TRAPS: [FaultKind; 9] = [
    FaultKind::WasmUnreachable,
    FaultKind::WasmOutOfBoundsMemoryAccess,
    FaultKind::WasmOutOfBoundsTableAccess,
    FaultKind::WasmUninitializedElement,
    FaultKind::WasmIndirectCallTypeMismatch,
    FaultKind::WasmIntegerDivideByZero,
    FaultKind::WasmIntegerOverflow,
    FaultKind::WasmInvalidConversionToInteger,
    FaultKind::StackOverflow,
];

/// Checks that each trap is the fault of its kind, in each tier and domain of a kernel.
fn traps_have_their_kinds(client: &mut Client) {
    let trapper = wat::parse_str(TRAPPER).unwrap();
    for (tier, domain) in ["0", "1", "2"].into_iter().flat_map(|tier| Domain::CHOICES.map(|domain| (tier, domain))) {
        let overrides = LoadOverrides {
            domain: Some(domain.name()),
            tier: Tier::from_name(tier),
            on_fault: Some("restart"),
            ..LoadOverrides::default()
        };
        push(client, &trapper, overrides).unwrap();
        for (number, kind) in TRAPS.iter().enumerate() {
            let input = &[number as u8][..];
            let called = client.ask(Request::Call { module: "sieve", input, repeat: 1 });
            let error = called.map(drop).unwrap_err().to_string();
            assert!(error.contains(&format!("faulted: {kind} ")), "tier {tier}, {domain:?}, {number}: {error}");
            assert_eq!(call(client, "sieve", b"\xff").result, 0, "tier {tier}, {domain:?}, after {number}");
        }
    }
}

fn stats(client: &mut Client, name: &str) -> Module {
    match client.ask(Request::Stats { module: Some(name) }) {
        Ok(Response::Modules(modules)) => modules.into_iter().next().unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn programs_go_on_in_compiled_code_and_serve_their_callers() {
    let files = Files::new();
    let program = portable(&files, "counter");
    let [provider, user] = ["kinds", "kinds-user"].map(|name| portable(&files, name));
    let blobs: Vec<_> = files.engines().map(|(name, _, file)| (name.to_owned(), fs::read(file).unwrap())).collect();
    with_kernel(
        |machine| {
            machine.memory_megabytes = 1024;
            machine.files = InputFiles { engines: blobs.len(), blobs, ..InputFiles::default() };
        },
        |client| {
            traps_have_their_kinds(client);
            for domain in Domain::CHOICES {
                let overrides = LoadOverrides { domain: Some(domain.name()), ..LoadOverrides::default() };
                push(client, &program, overrides).unwrap();
                let before = call(client, "counter", b"").result;
                assert_eq!(stats(client, "counter").tier, Some(0));
                let mut calls = 1;
                while stats(client, "counter").tier == Some(0) {
                    assert!(calls < 1_000_000, "{:?}", stats(client, "counter"));
                    match client.ask(Request::Call { module: "counter", input: b"", repeat: 1000 }) {
                        Ok(Response::Called(_)) => calls += 1000,
                        other => panic!("{other:?}"),
                    }
                }
                let module = stats(client, "counter");
                assert_eq!((module.tier, &*module.domain), (Some(2), domain.name()));
                assert_eq!(call(client, "counter", b"").result, before + calls);
                let switch = &module.ascent.unwrap().switches[0];
                assert_eq!((switch.from, switch.to, &*switch.compared), (0, 2, "results equal"));
                unload(client, "counter");
                interfaces_are_served(client, domain, &provider, &user);
            }
        },
    );
}

/// Checks that a portable module serves a native caller and a portable one, in each tier and while it goes on from one to the
/// other. The callers are in the domain `domain`, and the provider in each.
fn interfaces_are_served(client: &mut Client, domain: Domain, provider: &[u8], portable_user: &[u8]) {
    let native_user = fs::read(test_blob("kinds-user")).unwrap();
    let overrides = LoadOverrides { domain: Some(domain.name()), ..LoadOverrides::default() };
    for (of_provider, tier) in Domain::ALL.into_iter().flat_map(|domain| ["0", "2"].map(|tier| (domain, tier))) {
        let tier = Tier::from_name(tier);
        push(client, provider, LoadOverrides { domain: Some(of_provider.name()), tier, ..overrides }).unwrap();
        for user in [&*native_user, portable_user] {
            push(client, user, LoadOverrides { tier, ..overrides }).unwrap();
            assert_eq!(call(client, "kinds-user", b"").result, 0, "{of_provider:?} serves {domain:?} in tier {tier:?}");
            unload(client, "kinds-user");
        }
        unload(client, "kinds");
    }
    push(client, provider, LoadOverrides { tier: Tier::from_name("auto"), ..overrides }).unwrap();
    push(client, &native_user, overrides).unwrap();
    let calls = |client: &mut Client| match client.ask(Request::Call { module: "kinds-user", input: b"", repeat: 100 })
    {
        Ok(Response::Called(called)) => assert_eq!(called.results, [(0, 100)], "{domain:?}"),
        other => panic!("{other:?}"),
    };
    for round in 0.. {
        assert!(round < 1000, "{:?}", stats(client, "kinds"));
        calls(client);
        if stats(client, "kinds").tier == Some(2) {
            break;
        }
    }
    calls(client);
    ["kinds-user", "kinds"].into_iter().for_each(|name| unload(client, name));
}
