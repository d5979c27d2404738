//! A place where modules run, and the outcomes of cases there.

use std::fmt;

use anyhow::Result;
use bareflow_loader::FaultKind;

use crate::case::{Case, End};
use crate::instrument::{RETURNED, instrument};

/// A place where modules run: one after the other.
pub trait Place {
    /// Compiles an [instrumented](crate::instrument) module, and makes an instance.
    fn load(&mut self, wasm: &[u8]) -> Result<(), Refusal>;

    /// Runs the module with an input of so many bytes. After a fault, the instance is a fresh one.
    fn run(&mut self, length: usize) -> Result<Result<i32, FaultKind>>;

    /// Unloads the module.
    fn unload(&mut self) -> Result<()>;

    /// Checks that a module is refused for what it is, and not for what it lacks as a portable module.
    fn refuses(&mut self, wasm: &[u8]) -> Result<bool>;
}

/// The reason for which there is no instance.
#[derive(Debug)]
pub enum Refusal {
    /// The module was not compiled, or not loaded.
    Error(anyhow::Error),
    /// Making the instance ended in a trap.
    Trapped(FaultKind),
}

impl<E: Into<anyhow::Error>> From<E> for Refusal {
    fn from(error: E) -> Refusal {
        Refusal::Error(error.into())
    }
}

/// Judges the cases of a module at a place: what became of each, in order.
///
/// # Errors
/// The reason for which there is no instance.
pub fn judge(place: &mut dyn Place, wasm: &[u8], cases: &[Case]) -> Result<Vec<Result<(), Failure>>, Refusal> {
    let instrumented = instrument(wasm, cases)?;
    place.load(&instrumented)?;
    let outcomes = judge_loaded(place, &instrumented, cases)?;
    place.unload()?;
    Ok(outcomes)
}

/// The way in which a case does not hold.
#[derive(Debug)]
pub enum Failure {
    /// The call returned something else.
    Differs,
    /// A call ended in a fault.
    Faulted(FaultKind),
    /// The call returned, and was to trap.
    Returned,
    /// The call was not made, since one before it failed.
    NotReached,
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Differs => out.write_str("it returns something else"),
            Failure::Faulted(kind) => write!(out, "a call ends in {kind}"),
            Failure::Returned => out.write_str("it returns"),
            Failure::NotReached => out.write_str("it is not called, since a case before it failed"),
        }
    }
}

/// Judges the cases of a module that was just loaded. Those that trap come first: each leaves a fresh instance behind.
fn judge_loaded(place: &mut dyn Place, wasm: &[u8], cases: &[Case]) -> Result<Vec<Result<(), Failure>>, Refusal> {
    let mut outcomes = Vec::new();
    for (index, case) in cases.iter().enumerate() {
        let End::Traps(expected) = &case.end else {
            outcomes.push(Ok(()));
            continue;
        };
        let ended = place.run(index + 1)?;
        if ended.is_ok() {
            place.unload()?;
            place.load(wasm)?;
        }
        outcomes.push(match ended {
            Err(kind) if kind == *expected => Ok(()),
            Err(kind) => Err(Failure::Faulted(kind)),
            Ok(RETURNED) => Err(Failure::Returned),
            Ok(_) => Err(Failure::NotReached),
        });
    }
    let ended = if cases.iter().any(Case::returns) { place.run(0)? } else { Ok(0) };
    for ((number, case), outcome) in (1..).zip(cases).zip(&mut outcomes) {
        if !case.returns() {
            continue;
        }
        *outcome = match ended {
            Ok(0) => Ok(()),
            Ok(failed) if number < failed => Ok(()),
            Ok(failed) if number == failed => Err(Failure::Differs),
            Ok(_) => Err(Failure::NotReached),
            Err(kind) => Err(Failure::Faulted(kind)),
        };
    }
    Ok(outcomes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::Pattern;
    use crate::engine::{Engine, Interpreter};
    use crate::process::Process;
    use bareflow_translator::{Bounds, Optimization, Options};
    use wasmparser::ValType;

    const COMPILER: Options = Options {
        version: (1, 0, 0),
        optimization: Optimization::Quick,
        cpu_level: 1,
        bounds: Bounds::Checked,
        spectre_guard: true,
        maximum_pages: 16,
    };

    /// A module with a counter, and functions that trap after they have counted.
    const COUNTS: &str = r#"(module (memory 1) (global (export "pi") f64 (f64.const 3.5))
        (func $count (export "count") (param i32) (result i32)
            (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (local.get 0)))
            (i32.load (i32.const 0)))
        (func (export "stop") (drop (call $count (i32.const 100))) unreachable))"#;

    fn case(export: &str, arguments: &[u64], end: End) -> Case {
        Case { place: export.into(), export: export.into(), arguments: arguments.into(), end }
    }

    fn counts(value: u64) -> End {
        End::ReturnsThese(vec![Pattern::exact(ValType::I32, value)])
    }

    /// Judges cases of [`COUNTS`] by both engines, which must agree. Returns the outcomes as text.
    fn outcomes(cases: &[Case]) -> String {
        let wasm = wat::parse_str(COUNTS).unwrap();
        let engines: [&dyn Engine; 2] = [&COMPILER, &Interpreter(16)];
        let [one, other] = engines.map(|engine| {
            let mut process = Process::new(engine).unwrap();
            format!("{:?}", judge(&mut process, &wasm, cases).unwrap())
        });
        assert_eq!(one, other);
        one
    }

    #[test]
    fn a_trap_takes_place_after_all_that_returned_before_it_and_loses_what_it_did() {
        let trap = End::Traps(FaultKind::WasmUnreachable);
        let pi = End::ReturnsThese(vec![Pattern::exact(ValType::F64, 3.5_f64.to_bits())]);
        let cases = [
            case("count", &[3], counts(3)),
            case("stop", &[], trap.clone()),
            case("count", &[4], End::Returns),
            case("stop", &[], trap),
            case("count", &[1], counts(8)),
            case("pi", &[], pi),
        ];
        assert_eq!(outcomes(&cases), "[Ok(()), Ok(()), Ok(()), Ok(()), Ok(()), Ok(())]");
    }

    #[test]
    fn what_does_not_hold_is_found() {
        let overflow = End::Traps(FaultKind::WasmIntegerOverflow);
        let cases = [
            case("count", &[3], counts(3)),
            case("stop", &[], overflow.clone()),
            case("count", &[1], counts(5)),
            case("stop", &[], overflow),
            case("count", &[1], counts(6)),
        ];
        assert_eq!(
            outcomes(&cases),
            "[Ok(()), Err(Faulted(WasmUnreachable)), Err(Differs), Err(NotReached), Err(NotReached)]"
        );
        let cases = [case("count", &[3], End::Traps(FaultKind::WasmUnreachable)), case("stop", &[], End::Returns)];
        assert_eq!(outcomes(&cases), "[Err(Returned), Err(Faulted(WasmUnreachable))]");
    }

    #[test]
    fn cases_fit_the_module() {
        let wasm = wat::parse_str(COUNTS).unwrap();
        let refused = |case: Case| format!("{:#}", instrument(&wasm, &[case]).unwrap_err());
        for (case, part) in [
            (case("none", &[], End::Returns), "no export \"none\""),
            (case("count", &[], End::Returns), "takes 1 arguments, found 0"),
            (case("stop", &[], counts(0)), "has 0 results, expected 1"),
            (case("pi", &[], counts(0)), "a result of type f64"),
        ] {
            let text = refused(case);
            assert!(text.contains(part), "{text}");
        }
    }
}
