//! The figures of the engine's blobs: sizes, heap and time. `cargo test --release --test figures -- --nocapture` shows them.

mod common;

use std::fmt::Write;
use std::time::Instant;

use bareflow_abi::header::Header;
use bareflow_interpreter::compile;
use bareflow_loader::{Domain, LoadOptions};
use common::{load, manager, options_in, wasm};

/// Returns a module of about `bytes` bytes of code, all of which it calls.
fn large(bytes: usize) -> Vec<u8> {
    let mut code = String::from("(module (memory 1) (global $sum (mut i32) (i32.const 0))\n");
    // Each function takes about 100 bytes.
    let functions = bytes / 100;
    for number in 0..functions {
        write!(
            code,
            "(func $f{number} (param i32) (result i32) (local i32 i32)
                (local.set 1 (i32.add (local.get 0) (i32.const {number})))
                (loop $again
                    (local.set 2 (i32.xor (local.get 2) (i32.mul (local.get 1) (i32.const {}))))
                    (i32.store (i32.and (local.get 2) (i32.const 0xfffc)) (i32.load (i32.and (local.get 1) (i32.const 0xff0))))
                    (local.set 1 (i32.shr_u (local.get 1) (i32.const 3)))
                    (br_if $again (i32.gt_u (local.get 1) (i32.const 1000))))
                (global.set $sum (i32.add (global.get $sum) (i32.const 1)))
                (i32.add (local.get 2) (i32.load (i32.const {}))))\n",
            number * 7919 + 1_000_003,
            number % 60_000,
        )
        .unwrap();
    }
    code.push_str("(func (export \"run\") (result i32)\n");
    (0..functions).for_each(|number| writeln!(code, "(drop (call $f{number} (i32.const {number})))").unwrap());
    code.push_str("(global.get $sum)))");
    wasm(&code)
}

#[test]
fn a_megabyte_of_code_fits_into_the_heap_that_the_blob_asks_for() {
    for size in [10_000, 100_000, 1 << 20] {
        let module = large(size);
        let start = Instant::now();
        let blob = compile(&options_in(1), "test", &module).unwrap();
        let compiled = start.elapsed();
        for domain in Domain::ALL {
            let start = Instant::now();
            let running = load(&blob, domain).unwrap();
            let loaded = start.elapsed();
            let first = running.run();
            let called = start.elapsed();
            assert_eq!(first, Ok((size / 100) as i32), "{domain:?}");
            let peak = running.manager.peak_use(running.id);
            println!(
                "{} bytes of WebAssembly, blob {}, {domain:?}: compiled {compiled:?}, loaded {loaded:?}, called {called:?}, peak {peak:?}",
                module.len(),
                blob.len()
            );
        }
    }
}

#[test]
fn many_small_parts_fit_into_the_heap_too() {
    let functions: String = (0..50_000).map(|number| format!("(func $f{number})")).collect();
    let all: String = (0..50_000).map(|number| format!(" $f{number}")).collect();
    let globals = "(global (mut i32) (i32.const 0))".repeat(20_000);
    let types: String =
        (0..3000).map(|number| format!("(type (func (param {})))", "i32 i64 ".repeat(1 + number % 40))).collect();
    let cases = [
        functions.clone(),
        format!("{functions} (table 50000 funcref) (elem (i32.const 0){all})"),
        format!("{functions} (table 1 funcref) (elem func{all})"),
        globals,
        types,
        "(table 100000 externref)".repeat(10),
        format!("(memory 16) (data \"{}\")", "a".repeat(1_000_000)),
        format!("(memory 16) (data (i32.const 0) \"{}\")", "a".repeat(1_000_000)),
        "(memory 1) (data \"a\")".to_owned() + &"(data \"b\")".repeat(20_000),
        "(func $deep (param i64 i64 i64 i64) (result i64) (if (i64.eqz (local.get 0)) (then (return (i64.const 1))))
            (call $deep (i64.sub (local.get 0) (i64.const 1)) (local.get 1) (local.get 2) (local.get 3)))
            (func $start (drop (call $deep (i64.const 4000) (i64.const 0) (i64.const 0) (i64.const 0)))) (start $start)"
            .to_owned(),
    ];
    for code in cases {
        let module = wasm(&format!("(module {code} (func (export \"run\") (result i32) (i32.const 7)))"));
        let blob = compile(&options_in(16), "test", &module).unwrap();
        let header = Header::from_bytes(blob.first_chunk().unwrap());
        let running = load(&blob, Domain::Kernel).unwrap();
        let peak = running.manager.peak_use(running.id).heap_bytes.unwrap();
        println!("{} ..: heap {}, peak {peak}", &code[..code.len().min(40)], header.heap_size);
        assert_eq!(running.run(), Ok(7), "{}", &code[..code.len().min(40)]);
    }
}

#[test]
fn a_call_of_a_kept_instance_takes_few_cycles() {
    let blob = compile(&options_in(1), "test", &wasm(r#"(module (func (export "run") (result i32) (i32.const 7)))"#));
    println!("the blob of an empty module has {} bytes", blob.as_ref().unwrap().len());
    let manager = manager();
    let options = LoadOptions { domain: Domain::Kernel, ..LoadOptions::default() };
    let id = manager.load_with(blob.as_ref().unwrap(), &options).unwrap();
    for _ in 0..10_000 {
        assert_eq!(manager.execute(id).unwrap(), 7);
    }
    let cycles = manager.stats(id).and_then(|profile| profile.cycles).unwrap();
    println!("an empty call: {:?}", cycles.corrected);
}
