//! The functions that a program imports, by the engine's blobs in a process.

mod common;

use bareflow_abi::depends::Dependency;
use bareflow_abi::header::{FLAG_EXIT, FLAG_INIT, SERVICE_CALL, SERVICE_INVOKE, SERVICE_LOG};
use bareflow_abi::interface::bindings::{NewEntry, encode, encoded_size};
use bareflow_abi::interface::{CallError, Status};
use bareflow_abi::record::{BINDINGS, DEPENDENCIES};
use bareflow_host::SystemRandom;
use bareflow_interpreter::compile;
use bareflow_loader::{Domain, FaultKind, LoadOptions};
use bareflow_random::Random;
use common::{blob, described, load, manager, options_in, wasm};

const IO: &str = r#"(module
    (import "bareflow" "input_length" (func $length (result i32)))
    (import "bareflow" "input_read" (func $read (param i32 i32 i32) (result i32)))
    (import "bareflow" "output_write" (func $write (param i32 i32) (result i32)))
    (import "bareflow" "log" (func $log (param i32 i32)))
    (import "bareflow" "clock" (func $clock (result i64)))
    (memory 1)
    (func (export "run") (result i32) (local $now i64)
        (local.set $now (call $clock))
        (if (i64.lt_u (call $clock) (local.get $now)) (then (return (i32.const -1))))
        (if (i32.ne (call $read (i32.const 1) (i32.const 8) (i32.const 65528)) (i32.sub (call $length) (i32.const 1)))
            (then (return (i32.const -2))))
        (if (call $read (i32.const 1000) (i32.const 8) (i32.const 8)) (then (return (i32.const -3))))
        (call $log (i32.const 8) (i32.const 2))
        (drop (call $write (i32.const 8) (i32.const 2)))
        (call $write (i32.const 8) (i32.const 65000))))"#;

#[test]
fn input_output_log_and_clock_are_the_calls_own() {
    let blob = blob(IO);
    for domain in Domain::ALL {
        let running = load(&blob, domain).unwrap();
        let (result, output) = running.call(b"abcdef").unwrap();
        assert_eq!((result, &output[..4]), (65000, &b"bcbc"[..]), "{domain:?}");
        assert_eq!(output.len(), 65002);
    }
}

#[test]
fn what_lies_outside_of_the_memory_is_a_trap() {
    let out = FaultKind::WasmOutOfBoundsMemoryAccess;
    let cases = [
        ("(drop (call $write (i32.const 65535) (i32.const 2)))", out),
        ("(drop (call $write (i32.const -1) (i32.const -1)))", out),
        ("(drop (call $read (i32.const 0) (i32.const 65536) (i32.const 1)))", out),
        ("(call $log (i32.const 65536) (i32.const 1))", out),
        ("(call $panic (i32.const 0) (i32.const 70000) (i32.const 0) (i32.const 0) (i32.const 0))", out),
        ("(call $panic (i32.const 0) (i32.const 5) (i32.const 5) (i32.const 4) (i32.const 7))", FaultKind::Panic),
        ("(call $out_of_heap)", FaultKind::HeapBudget),
    ];
    for domain in Domain::ALL {
        for (code, kind) in cases {
            let blob = blob(&format!(
                r#"(module
                    (import "bareflow" "input_read" (func $read (param i32 i32 i32) (result i32)))
                    (import "bareflow" "output_write" (func $write (param i32 i32) (result i32)))
                    (import "bareflow" "log" (func $log (param i32 i32)))
                    (import "bareflow" "panic" (func $panic (param i32 i32 i32 i32 i32)))
                    (import "bareflow" "out_of_heap" (func $out_of_heap))
                    (memory 1) (data (i32.const 0) "helpfile")
                    (func (export "run") (result i32) {code} (i32.const 0)))"#
            ));
            assert_eq!(load(&blob, domain).unwrap().run(), Err(kind), "{domain:?}: {code}");
        }
    }
}

#[test]
fn a_panic_has_its_message_and_place() {
    let blob = blob(
        r#"(module (import "bareflow" "panic" (func $panic (param i32 i32 i32 i32 i32)))
            (memory 1) (data (i32.const 0) "no luckfile.c")
            (func (export "run") (result i32)
                (call $panic (i32.const 0) (i32.const 7) (i32.const 7) (i32.const 6) (i32.const 42)) (i32.const 0)))"#,
    );
    for domain in Domain::ALL {
        let running = load(&blob, domain).unwrap();
        assert_eq!(running.run(), Err(FaultKind::Panic));
        let diagnosis = running.manager.take_diagnosis(running.id).unwrap();
        let panic = diagnosis.panic.unwrap();
        assert_eq!((panic.message.bytes(), panic.file.bytes(), panic.line), (&b"no luck"[..], &b"file.c"[..], 42));
    }
}

#[test]
fn calls_another_module() {
    let callee = compile(
        &options_in(1),
        "callee",
        &wasm(
            r#"(module (import "bareflow" "input_length" (func $length (result i32)))
            (import "bareflow" "output_write" (func $write (param i32 i32) (result i32)))
            (memory 1) (data (i32.const 0) "answer")
            (func (export "run") (result i32) (drop (call $write (i32.const 0) (i32.const 6))) (call $length)))"#,
        ),
    );
    // Input and output overlap.
    let caller = wasm(
        r#"(module (import "bareflow" "call" (func $call (param i32 i32 i32 i32 i32 i32 i32) (result i32)))
        (memory 1) (data (i32.const 0) "callee")
        (func (export "run") (result i32)
            (if (call $call (i32.const 1) (i32.const 5) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 64))
                (then) (else (return (i32.const -1))))
            (if (call $call (i32.const 0) (i32.const 6) (i32.const 100) (i32.const 9) (i32.const 104) (i32.const 4) (i32.const 64))
                (then (return (i32.const -2))))
            (if (i32.ne (i32.load (i32.const 104)) (i32.const 0x77736e61)) (then (return (i32.const -3))))
            (i32.add (i32.mul (i32.load (i32.const 64)) (i32.const 100)) (i32.load (i32.const 68)))))"#,
    );
    let mut depends = Vec::new();
    let callees = Dependency { name: "callee", from: [1, 0, 0], below: None };
    callees.encode(&mut |bytes| depends.extend_from_slice(bytes));
    let caller = described(caller, |header| header.services = SERVICE_CALL, &[(DEPENDENCIES, &depends)]);
    let caller = compile(&options_in(1), "other", &caller).unwrap();
    for domain in Domain::ALL {
        let manager = manager();
        let options = LoadOptions { domain, ..LoadOptions::default() };
        manager.load_with(callee.as_ref().unwrap(), &options).unwrap();
        let id = manager.load_with(&caller, &options).unwrap();
        assert_eq!(manager.execute(id).unwrap(), 409, "{domain:?}");
    }
}

/// The bindings of a module that imports random numbers.
const RANDOM: &[NewEntry] = &[NewEntry::of::<dyn Random>("random")];

#[test]
fn calls_methods_with_the_memory_that_their_words_lead_to() {
    let code = r#"(module (import "bareflow" "invoke" (func $invoke (param i64 i32 i32) (result i32)))
        (import "bareflow" "input_read" (func $read (param i32 i32 i32) (result i32)))
        (memory 1)
        (func (export "run") (result i32) (local $status i32)
            (drop (call $read (i32.const 0) (i32.const 64) (i32.const 16)))
            (local.set $status (call $invoke (i64.const 0) (i32.const 64) (i32.const 128)))
            (if (local.get $status) (then (return (local.get $status))))
            (if (i64.eqz (i64.load (i32.const 1024))) (then (return (i32.const -1))))
            (i32.wrap_i64 (i64.load (i32.const 72)))))"#;
    let bindings = encode::<{ encoded_size(RANDOM) }>(RANDOM);
    let described = described(wasm(code), |header| header.services = SERVICE_INVOKE, &[(BINDINGS, &bindings)]);
    let blob = compile(&options_in(1), "other", &described).unwrap();
    for domain in Domain::ALL {
        let manager = manager();
        manager.provide::<dyn Random, _>("kernel", SystemRandom).unwrap();
        let id = manager.load_with(&blob, &LoadOptions { domain, ..LoadOptions::default() }).unwrap();
        let call = |address: u64, room: u64| {
            let words = [address.to_le_bytes(), room.to_le_bytes()].concat();
            manager.execute_with(id, &words, &mut []).map(|outcome| outcome.result).map_err(|error| error.to_string())
        };
        // All of the room is filled, by a number that is not 0 in all likelihood.
        assert_eq!(call(1024, 16), Ok(16), "{domain:?}");
        let refused = Status::Failed(CallError::BadArgument).number() as i32;
        assert_eq!(call(1 << 32, 16), Ok(refused), "{domain:?}");
        let outside = call(65530, 16).unwrap_err();
        assert!(outside.contains("wasm_out_of_bounds_memory_access"), "{domain:?}: {outside}");
    }
}

#[test]
fn an_entry_for_all_reasons_gets_those_that_it_wants() {
    let code = wasm(
        r#"(module (import "bareflow" "log" (func $log (param i32 i32)))
        (memory (export "memory") 1) (global $seen (mut i32) (i32.const 0))
        (func (export "bareflow_entry") (param $reason i32) (result i32)
            (global.set $seen (i32.add (i32.mul (global.get $seen) (i32.const 10)) (i32.add (local.get $reason) (i32.const 1))))
            (if (result i32) (local.get $reason) (then (i32.const 0)) (else (global.get $seen)))))"#,
    );
    for (flags, seen) in [(FLAG_INIT | FLAG_EXIT, 21), (FLAG_EXIT, 1)] {
        let described = described(code.clone(), |header| (header.flags, header.services) = (flags, SERVICE_LOG), &[]);
        let blob = compile(&options_in(1), "other", &described).unwrap();
        let running = load(&blob, Domain::Kernel).unwrap();
        assert_eq!(running.run(), Ok(seen), "{flags}");
        let module = running.manager.stats(running.id).unwrap();
        assert_eq!((module.name.as_str(), module.version.to_string().as_str()), ("test", "0.7.0"));
    }
}
