//! Portable modules: how WebAssembly gets to an engine, and which one.

use bareflow_abi::CallError;
use bareflow_abi::header::SERVICE_GROW;
use bareflow_loader::portable::engine::{CHECKED, Description, Options, PAGE_BYTES, QUICK, SPEED, WINDOW};
use bareflow_loader::portable::{self, CompileError, Compiled};
use bareflow_loader::records::bindings;
use bareflow_loader::valid::Capabilities;
use bareflow_loader::{
    BindError, Budget, Domain, FaultPolicy, LoadOptions, ModuleId, ModuleManager, Permissions, Platform, Provenance,
    RawModule,
};
use bareflow_protocol::tier::Tier;

use crate::compile_refusal::CompileRefusal;
use crate::console::{Console, Style};
use crate::error_text;
use crate::fallible::ErrorText;

pub use bareflow_loader::portable::INTERPRETER;
pub use bareflow_loader::portable::engine::is_wasm;

/// The engine that compiles: tiers 1 and 2.
pub const COMPILER: &str = "compiler";

/// The limits of engines: enough for WebAssembly of 1.5 MB, also under an emulator. The heap is about as large as a segment
/// can be beside an engine's own data.
pub const ENGINE_LIMITS: Budget =
    Budget { time_us: 300_000_000, stack_bytes: 8 << 20, heap_bytes: 192 << 20, ..Budget::LIMITS };

/// The data that an interpreter's blob may have besides linear memory.
const OWN_DATA_BYTES: u32 = 1 << 20;

/// Returns whether a blob is an engine's: whether it exports the interface of engines.
#[must_use]
pub fn is_engine(raw: &RawModule<'_>) -> bool {
    portable::is_engine(&bindings(raw.records))
}

/// Returns the options for the load of an engine where other modules have `defaults`.
pub(crate) fn engine_options(defaults: &LoadOptions, domain: Domain) -> LoadOptions {
    // A policy for modules need not allow all of them the heap that no engine can do without.
    let mut allowed = defaults.allowed;
    allowed.services = allowed.services.union(Permissions::HEAP);
    // A fault in one module's compilation must not keep others from being compiled.
    LoadOptions { domain, limits: ENGINE_LIMITS, on_fault: FaultPolicy::Restart, allowed, ..*defaults }
}

/// Returns the tier that a compiled module runs in.
#[must_use]
pub fn tier_of(provenance: &Provenance) -> Tier {
    match provenance.tier() {
        0 => Tier::Interpreted,
        1 => Tier::Quick,
        _ => Tier::Fast,
    }
}

/// Returns the tier in which a portable module starts: with [`Tier::Auto`], the first for which there is an engine.
#[must_use]
pub fn first_tier<P: Platform>(manager: &ModuleManager<P>, wanted: Tier) -> Tier {
    let is_loaded = |engine| manager.find(engine).is_some();
    match wanted {
        Tier::Auto if is_loaded(COMPILER) && !is_loaded(INTERPRETER) => Tier::Fast,
        Tier::Auto => Tier::Interpreted,
        tier => tier,
    }
}

/// Returns the engine of a tier, and what it is asked for.
#[must_use]
pub const fn engine_of(tier: Tier) -> (&'static str, u32) {
    match tier {
        Tier::Interpreted | Tier::Auto => (INTERPRETER, QUICK),
        Tier::Quick => (COMPILER, QUICK),
        Tier::Fast => (COMPILER, SPEED),
    }
}

/// Returns whether the engine of a tier is loaded.
pub(crate) fn has_engine<P: Platform>(manager: &ModuleManager<P>, wanted: Tier) -> bool {
    let (engine, _) = engine_of(first_tier(manager, wanted));
    manager.find(engine).is_some()
}

/// Says on the console that a module is not in the sandbox, though that was asked for, since its engine is not trusted.
pub fn note_untrusted<P: Platform>(manager: &ModuleManager<P>, console: &impl Console, id: ModuleId) {
    let is_asked = manager.options(id).is_some_and(|options| options.domain == Domain::Sandbox);
    if is_asked
        && manager.is_of_trusted_engine(id) == Some(false)
        && let Some((origin, (name, _))) = manager.provenance(id).zip(manager.load_of(id))
    {
        let engine = origin.engine;
        console.show(Style::Warning, format_args!("[WARN]"));
        line!(
            console,
            Plain,
            " {name} runs in ring 3: {engine} was not given along by `--engines`, so the sandbox does not trust it"
        );
    }
}

/// Returns the name of a module that does not say its own: that of its file, without folders and ending.
#[must_use]
pub fn name_of_file(label: &str) -> &str {
    let file = label.rsplit('/').next().unwrap_or(label);
    file.rsplit_once('.').map_or(file, |(stem, _)| stem)
}

/// Compiles `wasm` by the engine of a tier.
///
/// Its memory may grow to what the limits permit as heap, as data, where code without windows has it, and as linear memory.
pub(crate) fn compile<P: Platform>(
    manager: &ModuleManager<P>,
    label: &str,
    wasm: &[u8],
    wanted: Tier,
    limits: &Budget,
) -> Result<Compiled<P::Alloc>, CompileRefusal> {
    // An interpreter without windows has it in its data, beside its own.
    let in_data = limits.data_bytes.saturating_sub(OWN_DATA_BYTES);
    let memory = u64::from(limits.heap_bytes.min(in_data).min(limits.memory_bytes));
    let maximum_pages = u32::try_from(memory / PAGE_BYTES).unwrap_or(u32::MAX);
    let asked = Options { maximum_pages, ..Options::DEFAULT };
    compile_by(manager, engine_of(first_tier(manager, wanted)), asked, name_of_file(label), wasm)
        .map_err(|error| refusal(manager, wanted, error))
}

/// Makes the engine of the tier `to` compile `wasm` as it was compiled before, for the module `name`.
pub(crate) fn compile_again<P: Platform>(
    manager: &ModuleManager<P>,
    before: &Compiled<P::Alloc>,
    name: &str,
    wasm: &[u8],
    to: Tier,
) -> Result<Compiled<P::Alloc>, CompileRefusal> {
    compile_by(manager, engine_of(to), before.provenance().options, name, wasm)
        .map_err(|error| refusal(manager, to, error))
}

/// Makes an engine compile `wasm`, with what of the options is not its own affair.
///
/// Where platform and engine have windows, the code relies on them, and checks no access to memory. Interpreted code never
/// has the guard against Spectre.
fn compile_by<P: Platform>(
    manager: &ModuleManager<P>,
    (engine, optimization): (&str, u32),
    asked: Options,
    name: &str,
    wasm: &[u8],
) -> Result<Compiled<P::Alloc>, CompileError<P::Alloc>> {
    let Description { optimizations, bounds } = manager.describe_engine(engine)?;
    let has_windows = bounds & 1 << WINDOW != 0 && manager.platform().offered_services() & SERVICE_GROW != 0;
    let options = Options {
        optimization,
        cpu_level: Capabilities::of(manager.platform()).cpu_level.into(),
        bounds: if has_windows { WINDOW } else { CHECKED },
        spectre_guard: (optimizations != 0 && manager.needs_guard()).into(),
        ..asked
    };
    manager.compile(engine, &options, name, wasm)
}

/// Returns the refusal for an error of a compilation.
fn refusal<P: Platform>(manager: &ModuleManager<P>, wanted: Tier, error: CompileError<P::Alloc>) -> CompileRefusal {
    match error {
        CompileError::NoEngine { engine, error: BindError::NotLoaded } => {
            CompileRefusal::NoEngine(no_engine(engine.as_str(), wanted))
        }
        CompileError::NoAnswer { engine, error: CallError::Faulted | CallError::OutOfTime } => {
            let id = manager.find(engine.as_str());
            let fault = id.and_then(|id| manager.stats(id)).and_then(|profile| profile.fault);
            match id.zip(fault) {
                Some((id, fault)) => CompileRefusal::Faulted(id, fault),
                None => CompileRefusal::Refused(error_text!("{error}")),
            }
        }
        CompileError::Busy { .. } => CompileRefusal::Busy(error_text!("{error}")),
        CompileError::NoMemory { .. } | CompileError::NoAnswer { error: CallError::NoMemory, .. } => {
            CompileRefusal::NoMemory(error_text!("{error}"))
        }
        error => CompileRefusal::Refused(error_text!("{error}")),
    }
}

fn no_engine(engine: &str, wanted: Tier) -> ErrorText {
    let what_to_do =
        "`bareflow build --engines` makes them, `--engines FOLDER` takes them along, or put them on the disk";
    match wanted {
        Tier::Interpreted | Tier::Quick | Tier::Fast => {
            error_text!("WebAssembly, and no engine {engine} is loaded, which `--tier` asks for; {what_to_do}")
        }
        Tier::Auto => {
            error_text!("WebAssembly, and no engine is loaded, expected {COMPILER} or {INTERPRETER}; {what_to_do}")
        }
    }
}

#[cfg(test)]
mod tests {
    use bareflow_loader::Allowed;

    use super::*;

    #[test]
    fn a_module_is_named_as_its_file() {
        for (label, name) in
            [("primes.wasm", "primes"), ("/modules/a-b.wasm", "a-b"), ("x/y", "y"), ("a.b.wasm", "a.b")]
        {
            assert_eq!(name_of_file(label), name);
        }
    }
    #[test]
    fn an_engine_has_its_heap_whatever_modules_are_allowed() {
        let defaults = LoadOptions { allowed: Allowed::NONE, ..LoadOptions::DEFAULT };
        let engine = engine_options(&defaults, Domain::User);
        assert_eq!(engine.allowed, Permissions::HEAP.into());
    }
}
