//! The speed of the code: ticks per call, in each tier and in the engines of others.

use bareflow_builder::Workspace;
use bareflow_loader::Domain;

use super::bound::{Bound, Verdicts, least, mean};
use super::engines::{Blobs, CODES, Callers, Engines, INTERPRETED};
use super::rivals::{self, COMPILERS, Compiler};
use super::subjects::{Subject, all};
use crate::measure::{Figure, compare_turns, ratio, ticks, titled};
use crate::ours::blob;
use crate::peers::BoxError;

/// The ticks of a turn, and those of all turns of one module together, at most; and the rounds, if that allows them.
const TICKS: (u64, u64) = (200_000, 3_000_000_000);
const ROUNDS: usize = 101;

/// A module that returns at once.
const EMPTY: &str = "(module (func (export \"run\") (result i32) i32.const 0))";

/// The percentage of instructions from which on native code counts as made of SIMD.
const SIMD: f64 = 2.0;

/// The places of the figures in a row.
const NATIVE: usize = 0;
const TIER0: usize = 1;
const TIER1: usize = 2;
const TIER2: usize = 3;
const CHECKED: usize = 4;
const UNGUARDED: usize = 5;
const THEIR_WINDOW: usize = 6;
const THEIR_CHECKED: usize = 7;
const THEIR_UNGUARDED: usize = 8;
const WINCH: usize = 9;
const WASMI: usize = 10;

/// The figures that are compared with each other.
const PAIRS: [(&str, usize, usize); 7] = [
    ("tier 2 / wasmtime", TIER2, THEIR_WINDOW),
    ("checked / wasmtime's", CHECKED, THEIR_CHECKED),
    ("no guard / wasmtime's", UNGUARDED, THEIR_UNGUARDED),
    ("tier 1 / Winch", TIER1, WINCH),
    ("tier 0 / wasmi", TIER0, WASMI),
    ("tier 2 / native", TIER2, NATIVE),
    ("checked / native", CHECKED, NATIVE),
];

/// The figures of one module.
struct Row<'a> {
    subject: &'a Subject,
    figures: Vec<Option<Figure>>,
}

impl Row<'_> {
    fn ticks(&self, which: usize) -> Option<f64> {
        self.figures[which].as_ref().map(|figure| figure.min)
    }

    /// Returns how many times as fast `which` is as `other`.
    fn speed(&self, (_, which, other): (&str, usize, usize)) -> Option<f64> {
        Some(self.ticks(other)? / self.ticks(which)?)
    }
}

/// Compares all modules.
pub fn show(workspace: &Workspace) -> Result<String, BoxError> {
    let (subjects, engines) = (all(workspace)?, Engines::load(&Blobs::build(workspace)?, Domain::Kernel)?);
    let mut rows = Vec::new();
    for subject in &subjects {
        rows.push(Row { subject, figures: measure(&engines, subject)? });
    }
    let [native, interpreted] = empty_calls(&engines, &blob(workspace, "empty")?)?;
    let names = ["native"].into_iter().chain(CODES.map(|code| code.name));
    let names = names.chain(COMPILERS.map(Compiler::name)).chain(["wasmi"]);
    let mut calls = titled(&["module", "wasm"].into_iter().chain(names).collect::<Vec<_>>());
    let titles = ["module"].into_iter().chain(PAIRS.map(|(name, ..)| name)).chain(["native SIMD, %"]);
    let mut speeds = titled(&titles.collect::<Vec<_>>());
    for row in &rows {
        let figures = (0..row.figures.len()).map(|which| row.ticks(which).map_or_else(none, ticks));
        calls.add_row([row.subject.name.clone(), row.subject.wasm.len().to_string()].into_iter().chain(figures));
        let found = PAIRS.map(|pair| row.speed(pair).map_or_else(none, ratio));
        let simd = format!("{:.1}", row.subject.simd());
        speeds.add_row([row.subject.name.clone()].into_iter().chain(found).chain([simd]));
    }
    // What is a constant by then only measures the call.
    let (work, constant): (Vec<_>, Vec<_>) =
        rows.iter().partition(|row| row.ticks(NATIVE).is_some_and(|ticks| ticks >= 1.5 * native));
    let left_out = names_of(&constant);
    Ok(format!(
        "## Portable modules: ticks per call\n\n{calls}\n\n\
         The fewest of many rounds, taken by turns; the same crates everywhere, on the input of their longest example. BareFlow contains faults, reads the clock twice \
         and counts in each call, as by default, which takes {} ticks; the others only call. `tier 2` and `wasmtime` have \
         linear memory in a window whose end is not mapped; `checked` code compares each address, and is safe from Spectre. \
         wasmtime's is that only where signals tell it of traps (`memory_reservation(0)`, `memory_guard_size(0)`); without \
         them (`signals_based_traps(false)`) it has no guard, so it is compared with ours without. All compile for this \
         processor, but the native blobs, which are for x86-64 (v1).\n\n\
         ### Times as fast\n\n{speeds}\n\n\
         The last column is the share of the native blob's instructions that calculate with several numbers at once, which \
         WebAssembly has not without SIMD. Of {left_out} only the call is left, so they count in none of these:\n\n{}\n",
        ticks(native),
        verdicts(&work, interpreted),
    ))
}

fn none() -> String {
    "-".to_owned()
}

fn names_of(rows: &[&Row<'_>]) -> String {
    rows.iter().map(|row| format!("`{}`", row.subject.name)).collect::<Vec<_>>().join(" and ")
}

/// Measures a module. Winch may refuse it.
fn measure(engines: &Engines, subject: &Subject) -> Result<Vec<Option<Figure>>, BoxError> {
    let (callers, name, input) = (Callers::new()?, subject.name.as_str(), &subject.input);
    let native = callers.load(&subject.native, name)?;
    let expected = callers.outcome(native, input)?;
    let mut contenders = vec![callers.contender("native", native, input)?];
    for (number, code) in CODES.iter().enumerate() {
        let id = callers.load(&engines.compile(code, name, &subject.wasm)?, &format!("code-{number}"))?;
        let (result, output) = callers.outcome(id, input)?;
        rivals::check(name, (result, &output), &expected)?;
        contenders.push(callers.contender(code.name, id, input)?);
    }
    let mut is_refused = false;
    for compiler in COMPILERS {
        match compiler.contender(subject, &expected) {
            Ok(contender) => contenders.push(contender),
            Err(error) if compiler == Compiler::Winch => {
                eprintln!("Winch, {name}: {error}");
                is_refused = true;
            }
            Err(error) => return Err(error),
        }
    }
    contenders.push(rivals::wasmi(subject, &expected)?);
    let mut figures: Vec<_> = compare_turns(&mut contenders, expected.0, ROUNDS, TICKS).into_iter().map(Some).collect();
    if is_refused {
        figures.insert(WINCH, None);
    }
    Ok(figures)
}

/// Returns the ticks of calls that return at once: of a native module, and of an interpreted one.
fn empty_calls(engines: &Engines, native: &[u8]) -> Result<[f64; 2], BoxError> {
    let (callers, wasm) = (Callers::new()?, wat::parse_str(EMPTY)?);
    let native = callers.load(native, "native")?;
    let interpreted = callers.load(&engines.compile(&INTERPRETED, "empty", &wasm)?, "interpreted")?;
    let mut contenders =
        [callers.contender("native", native, &[])?, callers.contender(INTERPRETED.name, interpreted, &[])?];
    let figures = compare_turns(&mut contenders, 0, ROUNDS, TICKS);
    Ok([figures[0].min, figures[1].min])
}

fn verdicts(rows: &[&Row<'_>], empty_call: f64) -> Verdicts {
    let speeds = |number: usize| rows.iter().filter_map(move |row| row.speed(PAIRS[number]));
    let (scalar, with_simd): (Vec<&Row<'_>>, Vec<_>) = rows.iter().partition(|row| row.subject.simd() < SIMD);
    let of_scalar = |number: usize| mean(scalar.iter().filter_map(|row| row.speed(PAIRS[number])));
    let mut verdicts = Verdicts::new();
    let mut add = |what: &str, found, bound| verdicts.add(what, found, 2, bound);
    add("tier 2 / wasmtime, mean", mean(speeds(0)), Bound::AtLeast(0.97));
    add("tier 2 / wasmtime, least", least(speeds(0)), Bound::AtLeast(0.9));
    add("checked / wasmtime's, mean", mean(speeds(1)), Bound::AtLeast(1.0));
    add("checked, no guard / wasmtime's, mean", mean(speeds(2)), Bound::AtLeast(1.0));
    add("tier 2 / native, mean of scalar code", of_scalar(5), Bound::AtLeast(0.45));
    add("checked / native, mean of scalar code", of_scalar(6), Bound::AtLeast(0.4));
    add("tier 1 / Winch, mean", mean(speeds(3)), Bound::AtLeast(0.9));
    add("time of tier 0 / wasmi's, mean", 1.0 / mean(speeds(4)), Bound::AtMost(1.05));
    for row in with_simd {
        let name = format!("tier 2 / native, {}: {:.1} % SIMD", row.subject.name, row.subject.simd());
        verdicts.note(&name, row.speed(PAIRS[5]).unwrap_or_default(), 2);
    }
    verdicts.add("an empty call in tier 0, ticks", empty_call, 0, Bound::AtMost(300.0));
    verdicts
}
