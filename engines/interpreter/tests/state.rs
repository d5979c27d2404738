//! The instance that a blob keeps between calls, and that another one takes over.

mod common;

use bareflow_engine::{CHECKED, Options, WINDOW};
use bareflow_loader::{Budget, Domain, FaultKind, LoadError, LoadOptions};
use common::{blob, blobs, load, options_in, process_with_engine, wasm};

#[test]
fn keeps_globals_and_memory_between_calls() {
    let blob = blob(
        r#"(module (memory 1) (global $calls (mut i32) (i32.const 0)) (data (i32.const 4) "\05")
            (func (export "run") (result i32)
                (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
                (i32.store (i32.const 4) (i32.add (i32.load (i32.const 4)) (i32.const 100)))
                (i32.add (global.get $calls) (i32.load (i32.const 4)))))"#,
    );
    for domain in Domain::ALL {
        let running = load(&blob, domain).unwrap();
        assert_eq!([running.run(), running.run(), running.run()], [Ok(106), Ok(207), Ok(308)], "{domain:?}");
    }
}

#[test]
fn the_memory_grows_up_to_its_room() {
    let blobs = blobs(
        r#"(module (memory 1 100) (func (export "run") (result i32)
            (if (i32.ne (memory.grow (i32.const 99)) (i32.const 1)) (then (return (i32.const -1))))
            (if (i32.ne (memory.grow (i32.const 1)) (i32.const -1)) (then (return (i32.const -2))))
            (i32.store (i32.const 0x63fffc) (i32.const 7))
            (i32.add (memory.size) (i32.load (i32.const 0x63fffc)))))"#,
    );
    for (blob, domain) in blobs.iter().flat_map(|blob| Domain::ALL.map(|domain| (blob, domain))) {
        assert_eq!(load(blob, domain).unwrap().run(), Ok(107), "{domain:?}");
    }
}

#[test]
fn a_memory_in_a_window_takes_what_it_has_and_grows_to_what_the_loader_gives() {
    // It has no maximum of its own: 16 MiB are its options'.
    let blob = blob(
        r#"(module (memory 1) (func (export "run") (result i32)
            (local $grown i32)
            (loop $again
                (if (i32.eq (memory.grow (i32.const 10)) (i32.const -1)) (then (return (memory.size))))
                (i32.store (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 4)) (i32.const 1))
                (br $again))
            (unreachable)))"#,
    );
    for domain in Domain::ALL {
        let running = load(&blob, domain).unwrap();
        assert_eq!(running.run(), Ok(251), "{domain:?}");
        let limits = Budget { memory_bytes: 100 << 16, ..Budget::LIMITS };
        let reloaded =
            running.manager.replace(&blob, &LoadOptions { domain, limits, ..LoadOptions::default() }).unwrap();
        assert_eq!(running.manager.execute(reloaded.id).unwrap(), 91, "{domain:?}: the loader gives less");
    }
}

#[test]
fn a_memory_that_faulted_begins_anew() {
    let blobs = blobs(
        r#"(module (memory 1 3) (data (i32.const 8) "a") (func (export "run") (result i32)
            (if (i32.or (i32.ne (memory.size) (i32.const 1)) (i32.ne (i32.load (i32.const 8)) (i32.const 97)))
                (then (return (i32.const -1))))
            (drop (memory.grow (i32.const 2)))
            (i32.store (i32.const 8) (i32.const 0))
            (i32.load (i32.const 0x30000))))"#,
    );
    for (blob, domain) in blobs.iter().flat_map(|blob| Domain::ALL.map(|domain| (blob, domain))) {
        let running = load(blob, domain).unwrap();
        for _ in 0..3 {
            assert_eq!(running.run(), Err(FaultKind::WasmOutOfBoundsMemoryAccess), "{domain:?}");
            running.manager.restart(running.id, Some(blob)).unwrap();
        }
    }
}

#[test]
fn the_start_function_runs_once_and_before_all_else() {
    let module = |start: &str| {
        blob(&format!(
            r#"(module (global $value (mut i32) (i32.const 5)) (start $start)
                (func $start {start} (global.set $value (i32.mul (global.get $value) (i32.const 3))))
                (func (export "init") (result i32) (global.set $value (i32.add (global.get $value) (i32.const 1)))
                    (i32.const 0))
                (func (export "run") (result i32) (global.get $value)))"#
        ))
    };
    for domain in Domain::ALL {
        let running = load(&module(""), domain).unwrap();
        assert_eq!([running.run(), running.run()], [Ok(16), Ok(16)], "{domain:?}");
        match load(&module("unreachable"), domain) {
            Err(LoadError::InitFaulted(fault)) => assert_eq!(fault.kind, FaultKind::WasmUnreachable, "{domain:?}"),
            other => panic!("{domain:?}: {:?}", other.err()),
        }
    }
}

#[test]
fn a_segment_that_does_not_fit_refuses_the_load() {
    let cases = [
        (r#"(memory 1) (data (i32.const 65535) "ab")"#, FaultKind::WasmOutOfBoundsMemoryAccess),
        (r#"(memory 0) (data (i32.const 1) "")"#, FaultKind::WasmOutOfBoundsMemoryAccess),
        (r#"(table 1 funcref) (func $f) (elem (i32.const 1) $f)"#, FaultKind::WasmOutOfBoundsTableAccess),
    ];
    for (code, kind) in cases {
        let blob = blob(&format!(r#"(module {code} (func (export "run") (result i32) (i32.const 0)))"#));
        match load(&blob, Domain::Kernel) {
            Err(LoadError::InitFaulted(fault)) => assert_eq!(fault.kind, kind, "{code}"),
            other => panic!("{code}: {:?}", other.err()),
        }
    }
}

/// A module with all kinds of state. The first byte of the input says what to do; the result tells all of the state.
const STATEFUL: &str = r#"(module
    (import "bareflow" "input_read" (func $read (param i32 i32 i32) (result i32)))
    (memory 1 4)
    (table $functions 2 8 funcref) (table $nothing 1 4 externref) (elem (table $functions) (i32.const 0) func $one $two)
    (elem $passive func $three $one) (data $text "abc") (elem declare func $four)
    (global $i32 (mut i32) (i32.const 1)) (global $i64 (mut i64) (i64.const 2)) (global $constant i32 (i32.const 3))
    (global $f32 (mut f32) (f32.const 4)) (global $f64 (mut f64) (f64.const 5)) (global $function (mut funcref) (ref.null func))
    (type $number (func (result i32)))
    (func $one (type $number) (i32.const 1)) (func $two (type $number) (i32.const 2))
    (func $three (type $number) (i32.const 3)) (func $four (type $number) (i32.const 4))
    (func (export "run") (result i32)
        (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1)))
        (if (i32.eq (i32.load8_u (i32.const 0)) (i32.const 1)) (then
            (global.set $i32 (i32.const 10)) (global.set $i64 (i64.const 0x100000000)) (global.set $f32 (f32.const 40))
            (global.set $f64 (f64.const 50)) (global.set $function (ref.func $four))
            (drop (table.grow $functions (ref.func $three) (i32.const 2)))
            (drop (table.grow $nothing (ref.null extern) (i32.const 1)))
            (table.set $functions (i32.const 0) (ref.null func))
            (drop (memory.grow (i32.const 1)))
            (i32.store (i32.const 0x1fffc) (i32.const 1000))
            (memory.init $text (i32.const 100) (i32.const 0) (i32.const 3))
            (data.drop $text)
            (elem.drop $passive)))
        (if (i32.eq (i32.load8_u (i32.const 0)) (i32.const 2)) (then
            (memory.init $text (i32.const 0) (i32.const 0) (i32.const 1))))
        (if (i32.eq (i32.load8_u (i32.const 0)) (i32.const 3)) (then
            (table.init $functions $passive (i32.const 0) (i32.const 0) (i32.const 1))))
        (i32.add (global.get $i32)
        (i32.add (i32.wrap_i64 (i64.shr_u (global.get $i64) (i64.const 30)))
        (i32.add (i32.trunc_f32_s (global.get $f32))
        (i32.add (i32.trunc_f64_s (global.get $f64))
        (i32.add (i32.mul (i32.const 100) (table.size $functions))
        (i32.add (i32.mul (i32.const 10000) (memory.size))
        (i32.add (i32.mul (i32.const 100000) (table.size $nothing))
        (i32.add (call_indirect $functions (type $number) (i32.sub (table.size $functions) (i32.const 1)))
        (i32.add (i32.load8_u (i32.const 100))
            (if (result i32) (i32.eq (memory.size) (i32.const 2))
                (then (i32.add (i32.load (i32.const 0x1fffc))
                    (block (result i32) (table.set $functions (i32.const 0) (global.get $function))
                        (call_indirect $functions (type $number) (i32.const 0)))))
                (else (i32.const 0)))))))))))))
)"#;

/// The results before and after it changed all of its state.
const BEFORE: i32 = 1 + 4 + 5 + 200 + 10_000 + 100_000 + 2;
const AFTER: i32 = 10 + 4 + 40 + 50 + 400 + 20_000 + 200_000 + 3 + 97 + 1000 + 4;

#[test]
fn another_blob_of_the_same_module_goes_on_with_the_instance() {
    let wasm = wasm(STATEFUL);
    for domain in Domain::ALL {
        let manager = process_with_engine();
        let settings = LoadOptions { domain, ..LoadOptions::default() };
        let compile_in = |bounds, maximum_pages| {
            let options = Options { bounds, ..options_in(maximum_pages) };
            manager.compile("interpreter", &options, "state", &wasm).unwrap()
        };
        let compile = |maximum_pages| compile_in(CHECKED, maximum_pages);
        let call = |input: u8| {
            let id = manager.find("state").unwrap();
            manager.execute_with(id, &[input], &mut []).map(|outcome| outcome.result)
        };
        manager.load_compiled(&compile(4), &settings).unwrap();
        assert_eq!(call(0).unwrap(), BEFORE, "{domain:?}");
        manager.replace_compiled(&compile(4), &settings).unwrap();
        assert_eq!(call(0).unwrap(), BEFORE, "{domain:?}, as it was made");
        assert_eq!(call(1).unwrap(), AFTER, "{domain:?}");
        // Each blob has its memory elsewhere.
        for (bounds, pages) in [(CHECKED, 4), (CHECKED, 3), (WINDOW, 4), (WINDOW, 2), (CHECKED, 4), (WINDOW, 3)] {
            manager.replace_compiled(&compile_in(bounds, pages), &settings).unwrap();
            assert_eq!(call(0).unwrap(), AFTER, "{domain:?}, {pages} pages, bounds {bounds}");
        }
        // What was dropped stays so.
        let dropped = call(2).unwrap_err().to_string();
        assert!(dropped.contains("wasm_out_of_bounds_memory_access"), "{domain:?}: {dropped}");
    }
    let manager = process_with_engine();
    let compiled = manager.compile("interpreter", &options_in(4), "state", &wasm).unwrap();
    manager.load_compiled(&compiled, &LoadOptions::default()).unwrap();
    let call = |input: u8| {
        let id = manager.find("state").unwrap();
        manager.execute_with(id, &[input], &mut []).map(|outcome| outcome.result)
    };
    assert_eq!(call(1).unwrap(), AFTER);
    manager.replace_compiled(&compiled, &LoadOptions::default()).unwrap();
    let dropped = call(3).unwrap_err().to_string();
    assert!(dropped.contains("wasm_out_of_bounds_table_access"), "{dropped}");
}

#[test]
fn a_memory_that_does_not_fit_is_not_taken_over() {
    let wasm = wasm(STATEFUL);
    let manager = process_with_engine();
    let compile = |maximum_pages| manager.compile("interpreter", &options_in(maximum_pages), "state", &wasm).unwrap();
    let id = manager.load_compiled(&compile(4), &LoadOptions::default()).unwrap();
    assert_eq!(manager.execute_with(id, &[1], &mut []).unwrap().result, AFTER);
    assert!(manager.replace_compiled(&compile(1), &LoadOptions::default()).is_err());
    assert_eq!(manager.execute_with(id, &[0], &mut []).unwrap().result, AFTER);
}
