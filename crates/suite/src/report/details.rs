//! The lists of a module besides its figures: parameters, imports, functions and events, and its supervision.

use alloc::string::String;
use alloc::vec::Vec;

use bareflow_loader::{
    Assignment, EventCounts, EventDetails, FunctionProfile, ModuleId, ModuleManager, Platform, Provider, Supervised,
};
use bareflow_protocol::report::{BoundImport, Event, Events, Function, Module, SetParameter, Supervision};

use super::faults::fault;
use crate::fallible::{NoMemory, collect, push_result};
use crate::text;

/// Adds to a module's message the parameters that were set, the providers of its imports, the profiles of its functions
/// that were called, its events and its supervision.
///
/// # Errors
/// [`NoMemory`].
pub fn with_details<P: Platform>(manager: &ModuleManager<P>, id: ModuleId, module: Module) -> Result<Module, NoMemory> {
    let (parameters, imports) = (parameters(manager, id)?, imports(manager, id)?);
    let supervision = manager.supervised(id).as_ref().map(supervision).transpose()?;
    let (functions, events) = (functions(manager, id)?, events(manager, id)?);
    #[cfg(feature = "portable")]
    let module = with_engine(manager, id, module)?;
    Ok(Module { parameters, imports, functions, events, supervision, ..module })
}

/// Adds the engine of a portable module, and the tier that it runs in.
#[cfg(feature = "portable")]
fn with_engine<P: Platform>(manager: &ModuleManager<P>, id: ModuleId, module: Module) -> Result<Module, NoMemory> {
    let Some(provenance) = manager.provenance(id) else { return Ok(module) };
    let engine = text!("{}@{}", provenance.engine, provenance.engine_version)?;
    Ok(Module { engine: Some(engine), tier: crate::portable::tier_of(&provenance).number(), ..module })
}

fn supervision(supervised: &Supervised) -> Result<Supervision, NoMemory> {
    let fell_back = supervised.fell_back.as_ref();
    Ok(Supervision {
        on_fault: text!("{}", supervised.policy)?,
        // Rounded up, so that it starts by then.
        starts_in_ms: supervised.starts_in_us.map(|wait| wait.div_ceil(1000)),
        restarts_within_window: supervised.restarts_within_window,
        refusal: supervised.refusal.map(|error| text!("{error}")).transpose()?,
        previous: supervised.previous.map(|version| text!("{version}")).transpose()?,
        fell_back_from: fell_back.map(|fell_back| text!("{}", fell_back.from)).transpose()?,
        fell_back_for: fell_back.and_then(|fell_back| fell_back.fault.as_ref()).map(fault),
    })
}

/// Returns a module's imports with their providers.
fn imports<P: Platform>(manager: &ModuleManager<P>, id: ModuleId) -> Result<Vec<BoundImport>, NoMemory> {
    let mut imports = Ok(Vec::new());
    manager.for_each_import(id, |import, provider| {
        push_result(&mut imports, || bound_import(manager, import.name, provider));
    });
    imports
}

fn bound_import<P: Platform>(
    manager: &ModuleManager<P>,
    name: &str,
    provider: Option<Provider>,
) -> Result<BoundImport, NoMemory> {
    let provider = match provider {
        Some(Provider::Embedder(name)) => text!("{name}")?,
        Some(Provider::Module(id)) => match manager.stats(id) {
            Some(module) => text!("{}@{}", module.name, module.version)?,
            None => String::new(),
        },
        None => String::new(),
    };
    Ok(BoundImport { name: text!("{name}")?, provider })
}

/// Returns the profiles of a module's functions that were called.
fn functions<P: Platform>(manager: &ModuleManager<P>, id: ModuleId) -> Result<Vec<Function>, NoMemory> {
    let mut functions = Ok(Vec::new());
    manager.for_each_function(id, |number, interface, name| {
        let called = manager.function_stats(id, number).filter(|profile| profile.call_count > 0);
        if let Some(profile) = called {
            push_result(&mut functions, || function(&profile, interface, name));
        }
    });
    functions
}

fn function(profile: &FunctionProfile, interface: &str, name: &str) -> Result<Function, NoMemory> {
    let (dot, cycles) = (if interface.is_empty() { "" } else { "." }, profile.cycles.as_ref());
    Ok(Function {
        name: match name {
            // The signatures were stripped.
            "" => text!("{interface}{dot}#{}", profile.number)?,
            name => text!("{interface}{dot}{name}")?,
        },
        call_count: profile.call_count,
        faults: profile.faults,
        min_cycles: cycles.map(|cycles| cycles.min),
        max_cycles: cycles.map(|cycles| cycles.max),
        avg_cycles: cycles.map(|cycles| cycles.mean),
        p50_cycles: cycles.map(|cycles| cycles.p50),
        p99_cycles: cycles.map(|cycles| cycles.p99),
        last_result: profile.last_result,
    })
}

/// Returns the parameters that were set for a module.
fn parameters<P: Platform>(manager: &ModuleManager<P>, id: ModuleId) -> Result<Vec<SetParameter>, NoMemory> {
    let lines = manager.parameters(id);
    let set = Assignment::all(lines.as_deref().unwrap_or_default()).flatten().filter(|line| !line.binds);
    collect(set.map(|Assignment { name, value, .. }| {
        Ok(SetParameter { name: text!("{name}")?, value: text!("{}", value.unwrap_or_default())? })
    }))
}

/// Returns the events that a module handles, and what became of them.
fn events<P: Platform>(manager: &ModuleManager<P>, id: ModuleId) -> Result<Option<Events>, NoMemory> {
    let Some(counts) = manager.event_counts(id) else { return Ok(None) };
    let now_us = manager.platform().microseconds().unwrap_or_default();
    let mut list = Ok(Vec::new());
    manager.for_each_event(id, |event| push_result(&mut list, || described(&event, now_us)));
    let EventCounts { handled, missed, late, longest_delay_us } = counts;
    Ok(Some(Events { list: list?, ended: manager.has_ended(id), handled, missed, late, longest_delay_us }))
}

fn described(event: &EventDetails<'_>, now_us: u64) -> Result<Event, NoMemory> {
    Ok(Event {
        name: text!("{}", event.name)?,
        kind: event.kind.name().into(),
        source: text!("{}", event.source)?,
        due_in_us: event.due_us.map(|due_us| due_us.saturating_sub(now_us)),
        period_us: event.period_us,
        pending: event.is_pending,
        awaited: event.is_awaited,
    })
}
