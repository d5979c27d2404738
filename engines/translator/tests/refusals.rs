//! Refusals, each with its class and its text; and that the same bytes give the same blob.

mod common;

use bareflow_engine::EngineError;
use bareflow_translator::{Bounds, Optimization, Options, translate};
use common::OPTIONS;

fn refusal(options: &Options, text: &str) -> (EngineError, String) {
    let refusal = translate(options, "test", &wat::parse_str(text).unwrap()).unwrap_err();
    (refusal.error, refusal.text)
}

const LEAST: &str = r#"(module (func (export "run") (result i32) (i32.const 0)))"#;

#[test]
fn names_what_is_not_supported() {
    let cases = [
        (
            r#"(module (import "env" "f" (func)) (func (export "run") (result i32) (i32.const 0)))"#,
            "\"f\" from \"env\"",
        ),
        (r#"(module (import "bareflow" "f" (func)) (func (export "run") (result i32) (i32.const 0)))"#, "input_length"),
        (
            r#"(module (import "bareflow" "memory" (memory 1)) (func (export "run") (result i32) (i32.const 0)))"#,
            "no function",
        ),
        (
            r#"(module (import "bareflow" "clock" (func (result i32))) (func (export "run") (result i32) (i32.const 0)))"#,
            "I64",
        ),
        (r#"(module (memory 1) (memory 1) (func (export "run") (result i32) (i32.const 0)))"#, "multiple memories"),
        (r#"(module (memory i64 1) (func (export "run") (result i32) (i32.const 0)))"#, "memory64"),
        (r#"(module (func (export "run") (result i32) (return_call 0)))"#, "tail calls"),
        (r#"(module (func (export "run") (result i32) (drop (v128.const i64x2 0 0)) (i32.const 0)))"#, "SIMD"),
    ];
    for (text, part) in cases {
        let (kind, message) = refusal(&OPTIONS, text);
        assert!(kind == EngineError::Unsupported && message.contains(part), "{text}: {kind:?} {message}");
    }
}

#[test]
fn names_what_is_wrong() {
    let cases = [
        ("(module)", "no export run"),
        (r#"(module (func (export "run")))"#, "expected () -> (i32)"),
        (r#"(module (func (export "bareflow_entry") (result i32) (i32.const 0)))"#, "expected (i32) -> (i32)"),
        (
            r#"(module (@custom "bareflow.module" "abc") (func (export "run") (result i32) (i32.const 0)))"#,
            "has 3 bytes",
        ),
    ];
    for (text, part) in cases {
        let (kind, message) = refusal(&OPTIONS, text);
        assert!(kind == EngineError::Invalid && message.contains(part), "{text}: {kind:?} {message}");
    }
    let error = translate(&OPTIONS, "No name", &wat::parse_str(LEAST).unwrap()).unwrap_err();
    assert!(error.error == EngineError::Invalid && error.text.contains("\"No name\""), "{error}");
    let error = translate(&OPTIONS, "test", b"\0asm").unwrap_err();
    assert_eq!(error.error, EngineError::Invalid);
}

#[test]
fn names_options_that_it_does_not_know() {
    for options in [
        Options { cpu_level: 0, ..OPTIONS },
        Options { cpu_level: 5, ..OPTIONS },
        Options { version: (0, 0, 0), ..OPTIONS },
    ] {
        assert_eq!(refusal(&options, LEAST).0, EngineError::BadOption);
    }
    let memory = r#"(module (memory 17) (func (export "run") (result i32) (i32.const 0)))"#;
    let (kind, message) = refusal(&OPTIONS, memory);
    assert!(kind == EngineError::TooLarge && message.contains("maximum_pages"), "{message}");
}

#[test]
fn gives_the_same_blob_for_the_same_bytes_and_each_target() {
    let text = r#"(module (memory 1) (table 2 funcref) (elem (i32.const 0) 0)
        (func (export "run") (result i32)
            (i32.trunc_f64_s (f64.floor (f64.load (call_indirect (result i32) (i32.const 0)))))))"#;
    let wasm = wat::parse_str(text).unwrap();
    for optimization in [Optimization::Quick, Optimization::Speed] {
        for (bounds, spectre_guard) in
            [Bounds::Window, Bounds::Checked].into_iter().flat_map(|bounds| [(bounds, false), (bounds, true)])
        {
            for cpu_level in 1..=4 {
                let options = Options { optimization, bounds, spectre_guard, cpu_level, ..OPTIONS };
                let blob = translate(&options, "test", &wasm).unwrap();
                assert_eq!(blob, translate(&options, "test", &wasm).unwrap());
                assert_eq!(blob[120], cpu_level);
            }
        }
    }
}
