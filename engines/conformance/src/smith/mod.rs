//! Results of random modules, compared with wasmtime's.
//!
//! Each module is a function of its number alone. wasmtime makes the calls first, so that they are cases with what came of them.
//! A call that traps ends the module, since the two engines differ in what
//! remains of its instance; a call that exhausts a stack is not compared, since the stacks differ.

mod peer;

use std::ops::Range;

use anyhow::{Result, anyhow, bail, ensure};
use arbitrary::Unstructured;
use bareflow_loader::FaultKind;
use wasm_smith::{Config, Module};
use wasmtime::{Engine, Linker, Store, Trap};

use crate::case::{Case, End};
use crate::place::{Failure, Place, Refusal, judge};
use peer::{GLOBAL, Peer, kind_of};

/// The number of loops and calls after which a module ends itself.
const FUEL: u32 = 1_000;

/// The counts of what was compared.
#[derive(Default)]
struct Tally {
    modules: u64,
    calls: u64,
    traps: u64,
    globals: u64,
    refused: u64,
    different: u64,
}

/// Compares modules at a place with wasmtime. Returns whether none differed.
pub fn run(place: &mut dyn Place, seeds: Range<u64>, calls: u64) -> Result<bool> {
    // Signals are the host's, so wasmtime checks what it would learn by them.
    let mut checking = wasmtime::Config::new();
    checking.signals_based_traps(false).memory_reservation(0).memory_guard_size(0);
    let engine = Engine::new(&checking).map_err(|error| anyhow!("{error:?}"))?;
    let mut tally = Tally::default();
    for seed in seeds {
        if let Err(error) = compare(place, &engine, seed, calls, &mut tally) {
            println!("module {seed}: {error:#}");
            tally.different += 1;
        }
    }
    println!(
        "{} modules, {} calls of which {} trapped, {} globals compared; {} modules refused as too large; {} differences",
        tally.modules, tally.calls, tally.traps, tally.globals, tally.refused, tally.different
    );
    Ok(tally.different == 0)
}

fn config() -> Config {
    Config {
        max_imports: 0,
        allow_start_export: false,
        bulk_memory_enabled: true,
        canonicalize_nans: true,
        exceptions_enabled: false,
        export_everything: true,
        gc_enabled: false,
        compact_imports_enabled: false,
        max_instructions: 400,
        max_memory32_bytes: 1 << 20,
        max_table_elements: 1_000,
        memory64_enabled: false,
        memory_max_size_required: true,
        table_max_size_required: true,
        relaxed_simd_enabled: false,
        simd_enabled: false,
        tail_call_enabled: false,
        threads_enabled: false,
        wide_arithmetic_enabled: false,
        extended_const_enabled: false,
        min_funcs: 1,
        min_exports: 1,
        ..Config::default()
    }
}

fn compare(place: &mut dyn Place, engine: &Engine, seed: u64, calls: u64, tally: &mut Tally) -> Result<()> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut bytes = vec![0; random.usize(1_000..8_000)];
    random.fill(&mut bytes);
    // A number from which there comes no module is none.
    let Ok(mut module) = Module::new(config(), &mut Unstructured::new(&bytes)) else { return Ok(()) };
    module.ensure_termination(FUEL).map_err(|error| anyhow!("{error}"))?;
    let wasm = module.to_bytes();
    tally.modules += 1;
    let peer = wasmtime::Module::new(engine, &wasm).map_err(|error| anyhow!("{error:?}"))?;
    let mut store = Store::new(engine, ());
    let made = Linker::new(engine).instantiate(&mut store, &peer);
    let cases = match &made {
        Ok(instance) => Peer { store, instance: *instance }.cases(&peer, &mut random, calls)?,
        Err(_) => Vec::new(),
    };
    match (judge(place, &wasm, &cases), made) {
        (Ok(outcomes), Ok(_)) => count(&cases, &outcomes, tally),
        (Err(Refusal::Trapped(found)), Err(error)) => {
            let expected = kind_of(error.downcast_ref::<Trap>().copied())?;
            tally.traps += 1;
            ensure!(found == expected, "making the instance ends in {found}, and {expected} by wasmtime");
            Ok(())
        }
        (Err(Refusal::Error(error)), _) => {
            let text = format!("{error:#}");
            ensure!(text.contains("at most"), "it is refused: {text}");
            tally.refused += 1;
            Ok(())
        }
        (Ok(_), Err(error)) => bail!("it is an instance, and {error:?} by wasmtime"),
        (Err(Refusal::Trapped(kind)), Ok(_)) => bail!("making the instance ends in {kind}"),
    }
}

/// Counts what was compared.
fn count(cases: &[Case], outcomes: &[Result<(), Failure>], tally: &mut Tally) -> Result<()> {
    for (case, outcome) in cases.iter().zip(outcomes) {
        match (outcome, &case.end) {
            // The stacks differ, so this module is not compared further.
            (Err(Failure::Faulted(FaultKind::StackOverflow)), _) => return Ok(()),
            (Err(failure), end) => bail!("{}: {failure}, and {end:x?} by wasmtime", case.place),
            (Ok(()), _) if case.place == GLOBAL => tally.globals += 1,
            (Ok(()), end) => {
                tally.calls += 1;
                tally.traps += u64::from(matches!(end, End::Traps(_)));
            }
        }
    }
    Ok(())
}
