//! The imports of compiled modules, in this process: input, output, the services, panics.

mod common;

use std::cell::RefCell;
use std::rc::Rc;

use bareflow_abi::depends::Dependency;
use bareflow_abi::interface::bindings::{NewEntry, encode, encoded_size};
use bareflow_abi::record::{BINDINGS, DEPENDENCIES};
use bareflow_host::HostPlatform;
use bareflow_loader::{ExecuteError, FaultKind, KernelDomain, ModuleManager, Timing};
use common::{blob, module};
use sensors_interface::{SensorError, Sensors};

fn manager() -> (ModuleManager<HostPlatform>, Rc<RefCell<Vec<String>>>) {
    let lines = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&lines);
    let platform = HostPlatform::new(Box::new(move |line| log.borrow_mut().push(line.to_string()))).unwrap();
    // SAFETY: the blobs are those of this file's modules.
    let trusted = unsafe { KernelDomain::trust_all_blobs() };
    (ModuleManager::with_kernel_domain(platform, Timing::Fast, trusted), lines)
}

/// Runs a module. Returns its result and its output.
fn run(text: &str, input: &[u8], room: usize) -> Result<(i32, Vec<u8>), ExecuteError> {
    let (manager, _) = manager();
    let id = manager.load(&blob(text)).unwrap();
    let mut output = vec![0; room];
    let done = manager.execute_with(id, input, &mut output)?;
    output.truncate(done.output_length);
    Ok((done.result, output))
}

const ECHO: &str = r#"(module
    (import "bareflow" "input_length" (func $length (result i32)))
    (import "bareflow" "input_read" (func $read (param i32 i32 i32) (result i32)))
    (import "bareflow" "output_write" (func $write (param i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "run") (result i32)
        (drop (call $read (i32.const 1) (i32.const 16) (i32.const 100)))
        (i32.add
            (i32.mul (call $length) (i32.const 100))
            (call $write (i32.const 16) (i32.sub (call $length) (i32.const 1))))))"#;

#[test]
fn reads_input_and_writes_output() {
    assert_eq!(run(ECHO, b"hello world", 100).unwrap(), (1110, b"ello world".to_vec()));
    assert_eq!(run(ECHO, b"hello world", 4).unwrap(), (1104, b"ello".to_vec()));
    assert_eq!(run(ECHO, b"x", 4).unwrap(), (100, Vec::new()));
}

fn fault_of(text: &str) -> FaultKind {
    match run(text, b"input", 8) {
        Err(ExecuteError::Faulted(fault)) => fault.kind,
        other => panic!("expected a fault, found {other:?}"),
    }
}

#[test]
fn reaches_nothing_outside_of_memory() {
    let calls = [
        "(drop (call $read (i32.const 0) (i32.const 65530) (i32.const 7)))",
        "(drop (call $read (i32.const 0) (i32.const -1) (i32.const 0)))",
        "(drop (call $write (i32.const 65535) (i32.const 2)))",
        "(drop (call $write (i32.const 1) (i32.const -1)))",
        "(call $log (i32.const 65536) (i32.const 1))",
    ];
    for call in calls {
        let text = format!(
            r#"(module
                (import "bareflow" "input_read" (func $read (param i32 i32 i32) (result i32)))
                (import "bareflow" "output_write" (func $write (param i32 i32) (result i32)))
                (import "bareflow" "log" (func $log (param i32 i32)))
                (memory 1)
                (func (export "run") (result i32) {call} (i32.const 0)))"#
        );
        assert_eq!(fault_of(&text), FaultKind::WasmOutOfBoundsMemoryAccess, "{call}");
    }
}

#[test]
fn logs_and_reads_the_clock() {
    let (manager, lines) = manager();
    let text = r#"(module
        (import "bareflow" "log" (func $log (param i32 i32)))
        (import "bareflow" "clock" (func $clock (result i64)))
        (memory 1) (data (i32.const 8) "a line")
        (func (export "run") (result i32)
            (call $log (i32.const 8) (i32.const 6))
            (i64.ne (call $clock) (i64.const 0))))"#;
    let id = manager.load(&blob(text)).unwrap();
    assert_eq!(manager.execute(id).unwrap(), 1);
    assert!(lines.borrow().iter().any(|line| line.contains("a line")), "{lines:?}");
}

#[test]
fn ends_as_native_modules_do() {
    let (manager, _) = manager();
    let text = r#"(module
        (import "bareflow" "panic" (func $panic (param i32 i32 i32 i32 i32)))
        (memory 1) (data (i32.const 8) "no such thing") (data (i32.const 32) "src/lib.rs")
        (func (export "run") (result i32)
            (call $panic (i32.const 8) (i32.const 13) (i32.const 32) (i32.const 10) (i32.const 42))
            (i32.const 0)))"#;
    let id = manager.load(&blob(text)).unwrap();
    let Err(ExecuteError::Faulted(fault)) = manager.execute(id) else { panic!("expected a fault") };
    assert_eq!(fault.kind, FaultKind::Panic);
    let panic = manager.take_diagnosis(id).unwrap().panic.unwrap();
    assert_eq!(
        (panic.message.to_string(), panic.file.to_string(), panic.line),
        ("no such thing".into(), "src/lib.rs".into(), 42)
    );
    let text = r#"(module (import "bareflow" "out_of_heap" (func $end))
        (func (export "run") (result i32) (call $end) (i32.const 0)))"#;
    assert_eq!(fault_of(text), FaultKind::HeapBudget);
}

#[test]
fn calls_another_module() {
    let (manager, _) = manager();
    let mut list = Vec::new();
    Dependency { name: "callee", from: [1, 0, 0], below: None }.encode(&mut |bytes| list.extend(bytes));
    let caller = r#"
        (import "bareflow" "call" (func $call (param i32 i32 i32 i32 i32 i32 i32) (result i32)))
        (memory 1) (data (i32.const 8) "callee") (data (i32.const 16) "question")
        (func (export "run") (result i32)
            (if (result i32) (call $call (i32.const 8) (i32.const 6) (i32.const 16) (i32.const 8) (i32.const 32) (i32.const 100) (i32.const 200))
                (then (i32.const -1))
                (else (i32.add (i32.mul (i32.load (i32.const 204)) (i32.const 100))
                    (i32.add (i32.load (i32.const 200)) (i32.load8_u (i32.const 32)))))))"#;
    let callee = ECHO.trim_start().strip_prefix("(module").unwrap().strip_suffix(')').unwrap();
    manager.load(&module("callee", callee, &[], 0)).unwrap();
    let id = manager.load(&module("caller", caller, &[(DEPENDENCIES, &list)], 4)).unwrap();
    // The callee returns 807 and writes 7 bytes, of which the first is a `u`.
    assert_eq!(manager.execute(id).unwrap(), 807 * 100 + 7 + i32::from(b'u'));
}

struct Board;

impl Sensors for Board {
    fn temperature(&self, sensor: &str) -> Result<i32, SensorError> {
        if sensor == "cpu" { Ok(42_000) } else { Err(SensorError::NoSuchSensor) }
    }
}

#[test]
fn calls_methods_of_imports() {
    const ENTRIES: [NewEntry; 1] = [NewEntry::of::<dyn Sensors>("board")];
    let bindings = encode::<{ encoded_size(&ENTRIES) }>(&ENTRIES);
    let text = |number: &str, length: u32, address: &str| {
        format!(
            r#"
            (import "bareflow" "invoke" (func $invoke (param i64 i32 i32) (result i32)))
            (memory 1) (data (i32.const 128) "cpu")
            (func (export "run") (result i32) (local $status i32)
                (i64.store (i32.const 64) (i64.const {address}))
                (i64.store (i32.const 72) (i64.const {length}))
                (local.set $status (call $invoke (i64.const {number}) (i32.const 64) (i32.const 96)))
                (if (result i32) (local.get $status)
                    (then (i32.sub (i32.const 0) (local.get $status)))
                    (else (i32.load (i32.const 96)))))"#
        )
    };
    let run = |text: &str| {
        let (manager, _) = manager();
        manager.provide::<dyn Sensors, _>("board", Board).unwrap();
        let id = manager.load(&module("user", text, &[(BINDINGS, &bindings)], 8)).unwrap();
        manager.execute(id)
    };
    assert_eq!(run(&text("0", 3, "128")).unwrap(), 42_000);
    assert_eq!(run(&text("0", 2, "128")).unwrap(), -1);
    for no_such in ["1", "0x100000000"] {
        assert_eq!(run(&text(no_such, 3, "128")).unwrap(), -0x1_000a);
    }
    for outside in [text("0", 3, "65534"), text("0", 3, "0xffffffffffffffff"), text("0", 65_536, "128")] {
        match run(&outside) {
            Err(ExecuteError::Faulted(fault)) => assert_eq!(fault.kind, FaultKind::WasmOutOfBoundsMemoryAccess),
            other => panic!("expected a fault, found {other:?}"),
        }
    }
}
