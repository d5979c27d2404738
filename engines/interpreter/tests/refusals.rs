//! Modules that the engine refuses, and what it says.

mod common;

use bareflow_engine::{EngineError, Options};
use bareflow_interpreter::compile;
use common::{described, options_in, wasm};

/// A function that a module needs to be one.
const RUN: &str = r#"(func (export "run") (result i32) (i32.const 0))"#;

fn refusal(options: &Options, name: &str, wasm: &[u8]) -> (EngineError, String) {
    let refusal = compile(options, name, wasm).unwrap_err();
    (refusal.error, refusal.text)
}

#[test]
fn names_what_it_does_not_support() {
    let cases = [
        (r#"(import "env" "print" (func (param i32)))"#, "the import \"print\" from \"env\" is unknown"),
        (r#"(import "bareflow" "print" (func (param i32)))"#, "the import \"print\" from \"bareflow\" is unknown"),
        (r#"(import "bareflow" "memory" (memory 1))"#, "the import \"memory\" from \"bareflow\" is no function"),
        (r#"(import "bareflow" "log" (func (param i64)))"#, "expected [I32, I32] -> []"),
        (r#"(func (result v128) (v128.const i64x2 0 0))"#, "SIMD"),
        (r#"(memory i64 1)"#, "64-bit"),
        (r#"(memory 1) (memory 1)"#, "multiple memories"),
    ];
    for (code, expected) in cases {
        let module = wasm(&format!("(module {code} {RUN})"));
        let (error, text) = refusal(&options_in(1), "test", &module);
        assert!(error == EngineError::Unsupported && text.contains(expected), "{code}: {error:?} {text}");
    }
}

#[test]
fn names_what_is_no_portable_module() {
    let cases = [
        (r#"(func (export "init") (param i32))"#, RUN, "the export init has the type"),
        (r#"(func (export "bareflow_entry") (param i32) (result i32) (i32.const 0))"#, RUN, "export either"),
        ("", "", "there is no export run"),
    ];
    for (code, run, expected) in cases {
        let (error, text) = refusal(&options_in(1), "test", &wasm(&format!("(module {code} {run})")));
        assert!(error == EngineError::Invalid && text.contains(expected), "{code}: {error:?} {text}");
    }
}

#[test]
fn says_what_is_too_large() {
    let cases = [("(memory 3)", "3 pages"), ("(table 5000000 funcref)", "bytes"), ("(memory 65536)", "65536 pages")];
    for (code, expected) in cases {
        let (error, text) = refusal(&options_in(2), "test", &wasm(&format!("(module {code} {RUN})")));
        assert!(error == EngineError::TooLarge && text.contains(expected), "{code}: {error:?} {text}");
    }
}

#[test]
fn takes_only_descriptions_that_are_whole() {
    let module = wasm(&format!("(module {RUN})"));
    assert!(compile(&options_in(1), "a b", &described(module.clone(), |_| (), &[])).is_ok());
    let (error, text) = refusal(&options_in(1), "a b", &module);
    assert!(error == EngineError::Invalid && text.contains("`a b`"), "{text}");
    let (error, _) = refusal(&options_in(1), "test", &described(module.clone(), |header| header.magic = 0, &[]));
    assert_eq!(error, EngineError::Invalid);
    let (error, text) = refusal(&options_in(1), "test", &described(module, |_| (), &[(0x8000_0008, b"")]));
    assert!(error == EngineError::Invalid && text.contains("0x80000008"), "{text}");
}

#[test]
fn no_bytes_make_it_panic() {
    let module = wasm(
        r#"(module (import "bareflow" "log" (func $log (param i32 i32))) (memory 1 4) (table 2 funcref)
            (global (mut funcref) (ref.func $f)) (elem (i32.const 0) $f $f) (elem func $f) (elem declare func $f)
            (data (i32.const 1) "abc") (data "def") (start $f)
            (func $f (memory.init 1 (i32.const 0) (i32.const 0) (i32.const 3)))
            (func (export "run") (result i32) (i32.const 0)))"#,
    );
    let module = described(module, |header| header.flags = u32::MAX, &[(2, b"bindings")]);
    let mut made = 0;
    for at in 0..module.len() {
        made += usize::from(compile(&options_in(4), "test", &module[..at]).is_ok());
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut changed = module.clone();
            changed[at] = value;
            made += usize::from(compile(&options_in(4), "test", &changed).is_ok());
        }
    }
    // Most changes make it invalid; those of names, data and the description's budgets do not.
    assert!((10..module.len() * 4).contains(&made), "{made} of {}", module.len());
}
