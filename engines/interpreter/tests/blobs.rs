//! The engine's blobs in a process, in both domains.

mod common;

use bareflow_loader::{Domain, FaultKind};
use common::{blob, load};

/// Counts the primes below 1000.
const PRIMES: &str = r#"(module (func (export "run") (result i32) (local i32 i32 i32)
    (local.set 0 (i32.const 2))
    (loop $next
        (local.set 1 (i32.const 2))
        (block $composite
            (loop $divide
                (if (i32.le_u (i32.mul (local.get 1) (local.get 1)) (local.get 0)) (then
                    (br_if $composite (i32.eqz (i32.rem_u (local.get 0) (local.get 1))))
                    (local.set 1 (i32.add (local.get 1) (i32.const 1)))
                    (br $divide))))
            (local.set 2 (i32.add (local.get 2) (i32.const 1))))
        (local.set 0 (i32.add (local.get 0) (i32.const 1)))
        (br_if $next (i32.lt_u (local.get 0) (i32.const 1000))))
    (local.get 2)))"#;

#[test]
fn counts_primes() {
    let blob = blob(PRIMES);
    for domain in Domain::ALL {
        let running = load(&blob, domain).unwrap();
        assert_eq!(running.run(), Ok(168), "{domain:?}");
        assert_eq!(running.run(), Ok(168), "{domain:?}, again");
    }
}

#[test]
fn each_trap_is_a_fault_of_its_kind() {
    let cases = [
        ("unreachable", FaultKind::WasmUnreachable),
        ("(drop (i32.load (i32.const 65536)))", FaultKind::WasmOutOfBoundsMemoryAccess),
        ("(memory.fill (i32.const 65535) (i32.const 0) (i32.const 2))", FaultKind::WasmOutOfBoundsMemoryAccess),
        ("(drop (table.get $t (i32.const 3)))", FaultKind::WasmOutOfBoundsTableAccess),
        ("(call_indirect (i32.const 9))", FaultKind::WasmOutOfBoundsTableAccess),
        ("(call_indirect (i32.const 1))", FaultKind::WasmUninitializedElement),
        ("(call_indirect (i32.const 0))", FaultKind::WasmIndirectCallTypeMismatch),
        ("(drop (i32.div_u (i32.const 1) (i32.const 0)))", FaultKind::WasmIntegerDivideByZero),
        ("(drop (i64.rem_s (i64.const 1) (i64.const 0)))", FaultKind::WasmIntegerDivideByZero),
        ("(drop (i32.div_s (i32.const 0x80000000) (i32.const -1)))", FaultKind::WasmIntegerOverflow),
        ("(drop (i32.trunc_f32_s (f32.const inf)))", FaultKind::WasmIntegerOverflow),
        ("(drop (i32.trunc_f64_u (f64.const nan)))", FaultKind::WasmInvalidConversionToInteger),
        ("(call $deep)", FaultKind::StackOverflow),
    ];
    for domain in Domain::ALL {
        for (code, kind) in cases {
            let blob = blob(&format!(
                r#"(module (memory 1) (table $t 2 funcref) (elem (i32.const 0) $other)
                    (func $other (result i64) (i64.const 0))
                    (func $deep (call $deep))
                    (func (export "run") (result i32) {code} (i32.const 0)))"#
            ));
            assert_eq!(load(&blob, domain).unwrap().run(), Err(kind), "{domain:?}: {code}");
        }
    }
}
