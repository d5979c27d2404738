//! Results of random modules, compared with wasmtime's.
//!
//! Each module is a function of its number alone. A call that traps ends the module, since the two engines differ in what
//! remains of its instance; a call that exhausts a stack is not compared, since the stacks differ.

use std::ops::Range;

use anyhow::{Context, Result, anyhow, bail};
use arbitrary::Unstructured;
use bareflow_loader::FaultKind;
use bareflow_translator::Options;
use wasm_smith::{Config, Module};
use wasmparser::ValType;
use wasmtime::{Engine, Instance, Linker, Store, Trap, Val};

use crate::instance::{End, Host, Refusal};

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

/// Compares modules. Returns whether none differed.
pub fn run(options: &Options, seeds: Range<u64>, calls: u64) -> Result<bool> {
    // Signals are the host's, so wasmtime checks what it would learn by them.
    let mut checking = wasmtime::Config::new();
    checking.signals_based_traps(false).memory_reservation(0).memory_guard_size(0);
    let engine = Engine::new(&checking).map_err(|error| anyhow!("{error:?}"))?;
    let (host, mut tally) = (Host::new()?, Tally::default());
    for seed in seeds {
        if let Err(error) = compare(options, &engine, &host, seed, calls, &mut tally) {
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

fn compare(options: &Options, engine: &Engine, host: &Host, seed: u64, calls: u64, tally: &mut Tally) -> Result<()> {
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
    let theirs = Linker::new(engine).instantiate(&mut store, &peer);
    let mut ours = match (host.instantiate(options, &wasm), &theirs) {
        (Ok(ours), Ok(_)) => ours,
        (Err(Refusal::Trapped(kind)), Err(error)) => {
            tally.traps += 1;
            return same_trap(kind, error.downcast_ref::<Trap>().copied());
        }
        (Err(Refusal::Error(error)), _) => {
            if error.downcast_ref::<bareflow_translator::Error>().is_some_and(|error| error.message.contains("at most"))
            {
                tally.refused += 1;
                return Ok(());
            }
            return Err(error.context("it is refused"));
        }
        (Ok(mut ours), Err(error)) => {
            host.unload(&mut ours);
            bail!("it is an instance, and {error:?} by wasmtime");
        }
        (Err(Refusal::Trapped(kind)), Ok(_)) => bail!("making the instance ends in {kind}"),
    };
    let mut peer = Peer { store, instance: theirs.map_err(|error| anyhow!("{error:?}"))? };
    let done = compare_calls(host, &mut ours, &mut peer, &mut random, calls, tally);
    host.unload(&mut ours);
    done
}

struct Peer {
    store: Store<()>,
    instance: Instance,
}

fn compare_calls(
    host: &Host,
    ours: &mut crate::instance::Instance,
    peer: &mut Peer,
    random: &mut fastrand::Rng,
    calls: u64,
    tally: &mut Tally,
) -> Result<()> {
    let exports: Vec<_> = ours.exports().map(|(name, export)| (name.clone(), export.clone())).collect();
    let is_function = |peer: &mut Peer, name: &str| peer.instance.get_func(&mut peer.store, name).is_some();
    let (functions, globals): (Vec<_>, Vec<_>) = exports.iter().partition(|export| is_function(peer, &export.0));
    for _ in 0..calls.min(10 * functions.len() as u64) {
        let (name, export) = functions[random.usize(..functions.len())];
        let arguments: Vec<u64> = export.parameters.iter().map(|kind| argument(random, *kind)).collect();
        let found = ours.call(host, name, &arguments).with_context(|| format!("call of {name:?}"))?;
        let expected = peer.call(name, &export.parameters, &arguments, export.results.len())?;
        tally.calls += 1;
        match (found, expected) {
            (End::Returned(found), Ok(expected)) => {
                if found != expected {
                    bail!("{name:?} of {arguments:x?} returns {found:x?}, and {expected:x?} by wasmtime");
                }
            }
            (End::Trapped(FaultKind::StackOverflow), _) | (_, Err(Some(Trap::StackOverflow))) => return Ok(()),
            (End::Trapped(kind), Err(trap)) => {
                tally.traps += 1;
                return same_trap(kind, trap).with_context(|| format!("call of {name:?}"));
            }
            (found, expected) => bail!("{name:?} of {arguments:x?} ends in {found:x?}, and {expected:x?} by wasmtime"),
        }
    }
    for (name, _) in globals {
        let End::Returned(found) = ours.call(host, name, &[])? else { bail!("global {name:?} traps") };
        let global = peer.instance.get_global(&mut peer.store, name).context("no such global")?;
        let expected = bits(&global.get(&mut peer.store));
        tally.globals += 1;
        if found != [expected] {
            bail!("global {name:?} is {found:x?}, and {expected:x} by wasmtime");
        }
    }
    Ok(())
}

impl Peer {
    /// Calls a function. Returns the results' bits, or the trap.
    fn call(
        &mut self,
        name: &str,
        types: &[ValType],
        arguments: &[u64],
        results: usize,
    ) -> Result<Result<Vec<u64>, Option<Trap>>> {
        let function = self.instance.get_func(&mut self.store, name).context("no such function")?;
        let arguments: Vec<Val> = types.iter().zip(arguments).map(|(kind, bits)| value(*kind, *bits)).collect();
        let mut found = vec![Val::I32(0); results];
        Ok(match function.call(&mut self.store, &arguments, &mut found) {
            Ok(()) => Ok(found.iter().map(bits).collect()),
            Err(error) => Err(error.downcast_ref::<Trap>().copied()),
        })
    }
}

/// Returns an argument, often one at the border of its type.
fn argument(random: &mut fastrand::Rng, kind: ValType) -> u64 {
    const BORDERS: [u64; 10] =
        [0, 1, u64::MAX, 1 << 31, (1 << 31) - 1, 1 << 63, 0x7ff0_0000_0000_0000, 0x3f80_0000, 65_535, 65_536];
    let bits = if random.bool() { BORDERS[random.usize(..BORDERS.len())] } else { random.u64(..) };
    match kind {
        ValType::I32 | ValType::F32 => bits & 0xffff_ffff,
        ValType::Ref(_) => 0,
        _ => bits,
    }
}

fn value(kind: ValType, bits: u64) -> Val {
    match kind {
        ValType::I32 => Val::I32((bits as u32).cast_signed()),
        ValType::F32 => Val::F32(bits as u32),
        ValType::F64 => Val::F64(bits),
        ValType::Ref(reference) if reference.is_func_ref() => Val::FuncRef(None),
        ValType::Ref(_) => Val::ExternRef(None),
        _ => Val::I64(bits.cast_signed()),
    }
}

/// Returns the bits of a value, in the form of the dispatcher: of a reference, whether it is null. A NaN is one of its class.
fn bits(value: &Val) -> u64 {
    match value {
        Val::I32(value) => u64::from(value.cast_unsigned()),
        Val::I64(value) => value.cast_unsigned(),
        Val::F32(bits) => u64::from(*bits),
        Val::F64(bits) => *bits,
        Val::FuncRef(reference) => u64::from(reference.is_none()),
        _ => 1,
    }
}

fn same_trap(found: FaultKind, expected: Option<Trap>) -> Result<()> {
    let kind = match expected.context("wasmtime ends in an error that is no trap")? {
        Trap::UnreachableCodeReached => FaultKind::WasmUnreachable,
        Trap::MemoryOutOfBounds => FaultKind::WasmOutOfBoundsMemoryAccess,
        Trap::TableOutOfBounds => FaultKind::WasmOutOfBoundsTableAccess,
        Trap::IndirectCallToNull => FaultKind::WasmUninitializedElement,
        Trap::BadSignature => FaultKind::WasmIndirectCallTypeMismatch,
        Trap::IntegerDivisionByZero => FaultKind::WasmIntegerDivideByZero,
        Trap::IntegerOverflow => FaultKind::WasmIntegerOverflow,
        Trap::BadConversionToInteger => FaultKind::WasmInvalidConversionToInteger,
        other => bail!("wasmtime ends in {other:?}"),
    };
    if found == kind { Ok(()) } else { bail!("it ends in {found}, and {kind} by wasmtime") }
}
