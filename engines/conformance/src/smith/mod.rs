//! Results of random modules, compared with wasmtime's.
//!
//! Each module is a function of its number alone. wasmtime makes the calls first, so that they are cases with what came of them.
//! A call that traps ends the module, since the two engines differ in what
//! remains of its instance; a call that exhausts a stack is not compared, since the stacks differ.

use std::ops::Range;

use anyhow::{Context, Result, anyhow, bail, ensure};
use arbitrary::Unstructured;
use bareflow_loader::FaultKind;
use wasm_smith::{Config, Module};
use wasmtime::{Engine, ExternType, Instance, Linker, Store, Trap, Val, ValType};

use crate::case::{Case, End, Pattern};
use crate::place::{Failure, Place, Refusal, judge};

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

/// The place of cases that look at a global.
const GLOBAL: &str = "a global";

/// An instance by wasmtime.
struct Peer {
    store: Store<()>,
    instance: Instance,
}

impl Peer {
    /// Makes calls, and returns them as cases with what came of them; then the globals, if no call trapped.
    fn cases(mut self, module: &wasmtime::Module, random: &mut fastrand::Rng, calls: u64) -> Result<Vec<Case>> {
        let (mut functions, mut globals, mut cases) = (Vec::new(), Vec::new(), Vec::new());
        for export in module.exports() {
            match export.ty() {
                ExternType::Func(function) => functions.push((export.name(), function)),
                ExternType::Global(_) => globals.push(export.name()),
                _ => {}
            }
        }
        // The order is that of the names, so that a number always stands for the same calls.
        functions.sort_by_key(|function| function.0);
        for _ in 0..calls.min(10 * functions.len() as u64) {
            let (name, function) = &functions[random.usize(..functions.len())];
            let arguments: Vec<u64> = function.params().map(|kind| argument(random, &kind)).collect();
            let types: Vec<_> = function.params().collect();
            let end = match self.call(name, &types, &arguments, function.results().len())? {
                Ok(results) => End::ReturnsThese(results),
                Err(Some(Trap::StackOverflow)) => return Ok(cases),
                Err(trap) => End::Traps(kind_of(trap)?),
            };
            let place = format!("{name:?} of {arguments:x?}");
            let case = Case { place, export: (*name).into(), arguments, end };
            cases.push(case);
            if !cases.last().is_none_or(Case::returns) {
                return Ok(cases);
            }
        }
        for name in globals {
            let global = self.instance.get_global(&mut self.store, name).context("no such global")?;
            let end = End::ReturnsThese(vec![pattern(&global.get(&mut self.store))]);
            cases.push(Case { place: GLOBAL.into(), export: name.into(), arguments: Vec::new(), end });
        }
        Ok(cases)
    }

    /// Calls a function. Returns the results' bits, or the trap.
    fn call(
        &mut self,
        name: &str,
        types: &[ValType],
        arguments: &[u64],
        results: usize,
    ) -> Result<Result<Vec<Pattern>, Option<Trap>>> {
        let function = self.instance.get_func(&mut self.store, name).context("no such function")?;
        let arguments: Vec<Val> = types.iter().zip(arguments).map(|(kind, bits)| value(kind, *bits)).collect();
        let mut found = vec![Val::I32(0); results];
        Ok(match function.call(&mut self.store, &arguments, &mut found) {
            Ok(()) => Ok(found.iter().map(pattern).collect()),
            Err(error) => Err(error.downcast_ref::<Trap>().copied()),
        })
    }
}

/// Returns an argument, often one at the border of its type.
fn argument(random: &mut fastrand::Rng, kind: &ValType) -> u64 {
    const BORDERS: [u64; 10] =
        [0, 1, u64::MAX, 1 << 31, (1 << 31) - 1, 1 << 63, 0x7ff0_0000_0000_0000, 0x3f80_0000, 65_535, 65_536];
    let bits = if random.bool() { BORDERS[random.usize(..BORDERS.len())] } else { random.u64(..) };
    match kind {
        ValType::I32 | ValType::F32 => bits & 0xffff_ffff,
        ValType::Ref(_) => 0,
        _ => bits,
    }
}

fn value(kind: &ValType, bits: u64) -> Val {
    match kind {
        ValType::I32 => Val::I32((bits as u32).cast_signed()),
        ValType::F32 => Val::F32(bits as u32),
        ValType::F64 => Val::F64(bits),
        ValType::Ref(reference) if reference.heap_type().is_func() => Val::FuncRef(None),
        ValType::Ref(_) => Val::ExternRef(None),
        _ => Val::I64(bits.cast_signed()),
    }
}

/// Returns the pattern of a value.
fn pattern(value: &Val) -> Pattern {
    use wasmparser::ValType as Type;
    match value {
        Val::I32(value) => Pattern::exact(Type::I32, value.cast_unsigned().into()),
        Val::I64(value) => Pattern::exact(Type::I64, value.cast_unsigned()),
        Val::F32(bits) => Pattern::exact(Type::F32, (*bits).into()),
        Val::F64(bits) => Pattern::exact(Type::F64, *bits),
        Val::FuncRef(reference) => Pattern { of: None, mask: u64::MAX, value: reference.is_none().into() },
        _ => Pattern { of: None, mask: u64::MAX, value: 1 },
    }
}

/// Returns the kind of fault that a trap stands for.
fn kind_of(trap: Option<Trap>) -> Result<FaultKind> {
    Ok(match trap.context("wasmtime ends in an error that is no trap")? {
        Trap::UnreachableCodeReached => FaultKind::WasmUnreachable,
        Trap::MemoryOutOfBounds => FaultKind::WasmOutOfBoundsMemoryAccess,
        Trap::TableOutOfBounds => FaultKind::WasmOutOfBoundsTableAccess,
        Trap::IndirectCallToNull => FaultKind::WasmUninitializedElement,
        Trap::BadSignature => FaultKind::WasmIndirectCallTypeMismatch,
        Trap::IntegerDivisionByZero => FaultKind::WasmIntegerDivideByZero,
        Trap::IntegerOverflow => FaultKind::WasmIntegerOverflow,
        Trap::BadConversionToInteger => FaultKind::WasmInvalidConversionToInteger,
        other => bail!("wasmtime ends in {other:?}"),
    })
}
