//! An upgrade: a module goes on in the code of a higher tier.

use alloc::vec::Vec;
use core::fmt;

use bareflow_abi::header::SERVICE_GROW;
use bareflow_loader::ab_test::{AbTestError, Difference};
use bareflow_loader::portable::Compiled;
use bareflow_loader::{AbTest, Callee, Cost, LoadError, LoadOptions, ModuleId, ModuleManager, Platform, Reloaded};
use bareflow_protocol::tier::Tier;

use crate::compile_refusal::CompileRefusal;
use crate::console::Console;
use crate::fallible::{ErrorText, NO_MEMORY};
use crate::{OUTPUT_CAPACITY, error_text, portable};

/// An upgrade that was carried out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Upgrade {
    /// The tier that the module left.
    pub from: Tier,
    /// The tier that it is in.
    pub to: Tier,
    /// The cost of its calls in the tier that it left.
    pub cost: Cost,
    /// The cycles that the compilation took.
    pub compile_cycles: u64,
    /// The cycles until the new code was ready.
    pub prepare_cycles: u64,
    /// The cycles of the switch, between two calls.
    pub switch_cycles: u64,
    /// The comparison of results before.
    pub compared: Compared,
}

impl fmt::Display for Upgrade {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Upgrade { from, to, cost, compile_cycles, prepare_cycles, switch_cycles, compared } = self;
        let (calls, compared) = (cost.calls, compared.name());
        write!(
            out,
            "tier {} -> {} after {calls} calls that took {} cycles (compile {compile_cycles}, prepare {prepare_cycles}, \
             switch {switch_cycles}; {compared})",
            from.name(),
            to.name(),
            cost.cycles,
        )
    }
}

/// The comparison of results before a switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compared {
    /// Copies of both gave the same result and output for the last input.
    Equal,
    /// The module uses services, so a copy's call would be seen by others, or depend on the time.
    UsesServices,
    /// The module has no `run`.
    HasNoRun,
    /// There was no room for two copies of it.
    HasNoRoom,
}

impl Compared {
    /// Returns the words in messages and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Compared::Equal => "results equal",
            Compared::UsesServices => "results not compared: it uses services",
            Compared::HasNoRun => "results not compared: it has no run",
            Compared::HasNoRoom => "results not compared: no room for copies",
        }
    }
}

/// The reason for which there was no upgrade.
#[derive(Debug)]
pub enum Refused {
    /// A call of the module is running.
    Busy,
    /// Memory ran out, of which there may be more later.
    NoMemory(ErrorText),
    /// Any other reason, which holds for good.
    For(ErrorText),
}

/// A portable module as it is.
pub struct Current<'file, P: Platform> {
    /// The module.
    pub id: ModuleId,
    /// The tier that it is in.
    pub tier: Tier,
    /// The blob that it runs.
    pub compiled: &'file Compiled<P::Alloc>,
    /// The WebAssembly that the blob was made of.
    pub wasm: &'file [u8],
    /// The input of its last call.
    pub input: &'file [u8],
}

/// A portable module in its new tier.
pub struct Upgraded<P: Platform> {
    /// The module that replaced it.
    pub reloaded: Reloaded,
    /// The blob that it runs.
    pub compiled: Compiled<P::Alloc>,
    /// The figures.
    pub upgrade: Upgrade,
}

/// A blob for a module's next tier.
pub struct Recompiled<P: Platform> {
    to: Tier,
    compiled: Compiled<P::Alloc>,
    compile_cycles: u64,
}

/// Compiles a module for the tier `to`.
///
/// # Errors
/// The reason for which there is no blob.
pub fn recompile<P: Platform>(
    manager: &ModuleManager<P>,
    console: &impl Console,
    now: &Current<'_, P>,
    to: Tier,
) -> Result<Recompiled<P>, Refused> {
    let name = manager.load_of(now.id).map(|(name, _)| name).ok_or_else(gone)?;
    let clock = || manager.platform().clock_fenced();
    let start = clock();
    let compiled = portable::compile_again(manager, now.compiled, name.as_str(), now.wasm, to).map_err(|refusal| {
        let is_for_memory = matches!(refusal, CompileRefusal::NoMemory(_));
        let reason = refusal.explain(manager, console, |_, _| ());
        if is_for_memory { Refused::NoMemory(reason) } else { Refused::For(reason) }
    })?;
    Ok(Recompiled { to, compiled, compile_cycles: clock().saturating_sub(start) })
}

/// Takes a module to the tier that it was compiled for.
///
/// Its instance is carried over, after its results were compared.
///
/// # Errors
/// The reason for which the module stays as it is.
pub fn switch<P: Platform>(
    manager: &ModuleManager<P>,
    now: &Current<'_, P>,
    next: Recompiled<P>,
) -> Result<Upgraded<P>, Refused> {
    let Recompiled { to, compiled, compile_cycles } = next;
    let (name, _) = manager.load_of(now.id).ok_or_else(gone)?;
    let options = manager.options(now.id).ok_or_else(gone)?;
    let compared = compare(manager, now, &compiled, &options)?;
    if manager.find(name.as_str()) != Some(now.id) {
        return Err(gone());
    }
    let cost = manager.cost(now.id).unwrap_or_default();
    let reloaded = manager.replace_compiled(&compiled, &options).map_err(|error| match error {
        LoadError::StateBusy => Refused::Busy,
        error if error.is_for_memory() => Refused::NoMemory(error_text!("{error}")),
        error => Refused::For(error_text!("{error}")),
    })?;
    let Reloaded { prepare_cycles, switch_cycles, .. } = reloaded;
    let from = now.tier;
    let upgrade = Upgrade { from, to, cost, compile_cycles, prepare_cycles, switch_cycles, compared };
    Ok(Upgraded { reloaded, compiled, upgrade })
}

/// Returns the reason for a module that is not the active one of its name any more.
const fn gone() -> Refused {
    Refused::For(ErrorText::Borrowed("it was unloaded or replaced meanwhile"))
}

/// Compares what copies of the module in its old and its new code do with `input`. Both begin with the module's instance, and
/// are gone afterwards.
fn compare<P: Platform>(
    manager: &ModuleManager<P>,
    now: &Current<'_, P>,
    new: &Compiled<P::Alloc>,
    options: &LoadOptions,
) -> Result<Compared, Refused> {
    let profile = manager.stats(now.id).ok_or_else(gone)?;
    if profile.services & !SERVICE_GROW != 0 {
        return Ok(Compared::UsesServices);
    }
    if !crate::has_run(now.compiled.blob()) {
        return Ok(Compared::HasNoRun);
    }
    let Some(shadow) = copy_of(manager, now.compiled, options)? else { return Ok(Compared::HasNoRoom) };
    let compared = copy_of(manager, new, options).and_then(|candidate| {
        let Some(candidate) = candidate else { return Ok(Compared::HasNoRoom) };
        let compared = call_both(manager, [shadow, candidate], now.input);
        discard(manager, candidate);
        compared.map(|()| Compared::Equal)
    });
    discard(manager, shadow);
    compared
}

/// Loads a copy that nobody else calls; `None` if there is no room for it.
fn copy_of<P: Platform>(
    manager: &ModuleManager<P>,
    compiled: &Compiled<P::Alloc>,
    options: &LoadOptions,
) -> Result<Option<ModuleId>, Refused> {
    match manager.load_compiled_candidate(compiled, options) {
        Ok(copy) => Ok(Some(copy)),
        Err(error) if error.is_for_memory() => Ok(None),
        Err(LoadError::StateBusy) => Err(Refused::Busy),
        Err(error) => Err(Refused::For(error_text!("no copy of it to compare results: {error}"))),
    }
}

/// Calls both copies, and compares their results and outputs.
fn call_both<P: Platform>(manager: &ModuleManager<P>, copies: [ModuleId; 2], input: &[u8]) -> Result<(), Refused> {
    let mut outputs = [Vec::new(), Vec::new()];
    for output in &mut outputs {
        output.try_reserve_exact(OUTPUT_CAPACITY).map_err(|_| Refused::NoMemory(NO_MEMORY.into()))?;
        output.resize(OUTPUT_CAPACITY, 0);
    }
    let [first, second] = &mut outputs;
    let mut test = AbTest::new(manager, copies.map(Callee::Run), 1).map_err(explain)?;
    while !test.step(manager, input, [first, second]).map_err(explain)? {}
    let Some(difference) = test.difference() else { return Ok(()) };
    Err(Refused::For(match difference {
        Difference::Results([old, new]) => error_text!("results differ: {old} and {new} in the new tier"),
        Difference::Lengths([old, new]) => error_text!("outputs of {old} and {new} bytes in the new tier"),
        Difference::Bytes { at, found: [old, new] } => {
            error_text!("byte {at} of the output is {old:#04x}, and {new:#04x} in the new tier")
        }
    }))
}

fn explain(error: AbTestError) -> Refused {
    let which = |arm| if arm == 0 { "a copy of it" } else { "the code of the new tier" };
    Refused::For(match error {
        AbTestError::Faulted(arm, fault) => error_text!("{} faulted on the last input: {fault}", which(arm)),
        AbTestError::Refused(arm, error) => error_text!("{}: {error}", which(arm)),
        AbTestError::NoMemory => return Refused::NoMemory(NO_MEMORY.into()),
    })
}

/// Unloads a copy that nobody else calls: nothing keeps it.
fn discard<P: Platform>(manager: &ModuleManager<P>, copy: ModuleId) {
    let unloaded = manager.unload(copy);
    debug_assert!(unloaded.is_ok(), "{unloaded:?}");
}
