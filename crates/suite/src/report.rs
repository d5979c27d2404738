//! Conversions from the manager's profiles to the report that is sent.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use bareflow_abi::header::SERVICE_NAMES;
use bareflow_loader::diagnosis::{REGISTER_NAMES, Remedy};
use bareflow_loader::segments::PAGE_SIZE;
use bareflow_loader::{
    Assignment, BatchTiming, Diagnosis, Domain, EventCounts, EventDetails, FunctionProfile, ModuleId, ModuleManager,
    ModuleProfile, PeakUse, Platform, Printable, Provider, Supervised,
};
use bareflow_protocol::Report;
use bareflow_protocol::report::{
    self, Batch, BatchCounters, BoundImport, Corrected, DomainCost, Environment, Event, Events, Fault, Function,
    Module, Refusal, Register, SCHEMA, SetParameter, Supervision, Test,
};
use raw_cpuid::{CpuId, CpuIdReaderNative};

use crate::Plan;
use crate::fallible::{NoMemory, collect, copy, push};
use crate::text;

/// Returns the environment of a run, without the figures that are measured at its end.
pub(crate) fn environment<P: Platform>(manager: &ModuleManager<P>, plan: &Plan<'_>) -> Environment {
    let cost = |domain: Domain| {
        let empty_call_cycles = manager.empty_call_cycles(domain)?;
        Some(DomainCost { domain: domain.name().to_string(), empty_call_cycles })
    };
    // Intel SDM volume 3, 18.17: the frequency is known if the processor or the hypervisor reports it.
    let cpuid = CpuId::with_cpuid_reader(CpuIdReaderNative);
    let by_processor = cpuid.get_tsc_info().and_then(|info| info.tsc_frequency());
    let by_hypervisor = || Some(u64::from(cpuid.get_hypervisor_info()?.tsc_frequency()?) * 1000);
    Environment {
        place: plan.place.to_string(),
        clock: plan.clock.to_string(),
        timing: manager.timing().name().to_string(),
        call_overhead_cycles: manager.call_overhead_cycles(),
        cpu: plan.cpu.clone(),
        domains: Domain::ALL.into_iter().filter_map(cost).collect(),
        first_call_cycles: None,
        clock_step_cycles: manager.clock_step_cycles(),
        clock_invariant: cpuid.get_advanced_power_mgmt_info().is_some_and(|power| power.has_invariant_tsc()),
        clock_hertz: by_processor.or_else(by_hypervisor).filter(|&hertz| hertz > 0),
        load_cycles: None,
    }
}

/// Describes all modules. Those that there is no memory to describe count as refused.
pub(crate) fn modules<P: Platform>(
    manager: &ModuleManager<P>,
    diagnoses: &[(ModuleId, Diagnosis)],
    batches: &[(ModuleId, BatchTiming)],
) -> (Vec<Module>, Vec<Refusal>) {
    let (mut modules, mut refused) = (Vec::new(), Vec::new());
    for id in manager.ids() {
        let Some(profile) = manager.stats(id) else { continue };
        let found = diagnoses.iter().rfind(|(of, _)| *of == id).map(|(_, found)| found);
        let batch = batches.iter().find(|(of, _)| *of == id).map(|(_, batched)| batch(batched));
        let described = module(&profile, manager.peak_use(id), found);
        match described.and_then(|module| with_lists(manager, id, Module { batch, ..module })) {
            Ok(module) => modules.push(module),
            Err(error) => refused.push(Refusal::new(profile.name.to_string(), error.to_string())),
        }
    }
    (modules, refused)
}

/// Returns the report of a run.
pub(crate) fn report(
    environment: Environment,
    tests: Vec<Test>,
    refused: Vec<Refusal>,
    modules: Vec<Module>,
) -> Report {
    let no_fault = modules.iter().all(|module| module.faults == 0);
    Report {
        schema: SCHEMA,
        environment,
        passed: refused.is_empty() && no_fault && tests.iter().all(|test| test.passed),
        total_modules: modules.len() as u64,
        total_calls: modules.iter().map(|module| module.call_count).sum(),
        tests,
        refused,
        modules,
    }
}

/// Converts a module's profile, its peak use and the diagnosis of its last fault to a message.
///
/// # Errors
/// [`NoMemory`].
pub fn module(profile: &ModuleProfile, peak: PeakUse, found: Option<&Diagnosis>) -> Result<Module, NoMemory> {
    let cycles = profile.cycles.as_ref();
    let corrected = cycles.map(|cycles| &cycles.corrected);
    let state = match (profile.retired, profile.stopped) {
        (true, _) => "retired",
        (false, true) => "faulted",
        (false, false) => "loaded",
    };
    Ok(Module {
        name: text!("{}", profile.name)?,
        version: text!("{}", profile.version)?,
        generation: profile.generation,
        domain: profile.domain.name().into(),
        state: state.into(),
        active: profile.active,
        memory_bytes: profile.memory.pages * PAGE_SIZE + profile.memory.arena_bytes + profile.memory.table_bytes,
        code_address: profile.code_address,
        cpu_level: profile.cpu_level,
        code_size: profile.code_size,
        blob_size: profile.blob_size,
        call_count: profile.call_count,
        total_cycles: cycles.map(|_| profile.total_cycles),
        min_cycles: cycles.map(|cycles| cycles.min),
        max_cycles: cycles.map(|cycles| cycles.max),
        avg_cycles: cycles.map(|cycles| cycles.mean),
        std_dev: cycles.map(|cycles| cycles.standard_deviation),
        p50_cycles: cycles.map(|cycles| cycles.p50),
        p99_cycles: cycles.map(|cycles| cycles.p99),
        corrected: Corrected {
            min: corrected.map(|corrected| corrected.min),
            avg: corrected.map(|corrected| corrected.mean),
            p50: corrected.map(|corrected| corrected.p50),
            p99: corrected.map(|corrected| corrected.p99),
        },
        timed_calls: profile.timed_calls,
        batch: None,
        last_result: profile.last_result,
        fault: profile.fault.as_ref().map(|found_fault| in_function(found_fault, found)).transpose()?,
        diagnosis: found.map(|found| explained(profile, found)).transpose()?,
        faults: profile.faults,
        restarts: profile.restarts,
        budget: profile.budget,
        peak_stack_bytes: peak.stack_bytes,
        peak_heap_bytes: peak.heap_bytes,
        parameters: Vec::new(),
        imports: Vec::new(),
        functions: Vec::new(),
        events: None,
        supervision: None,
    })
}

/// Adds to a module's message the parameters that were set, the providers of its imports, the profiles of its functions
/// that were called, its events and its supervision.
///
/// # Errors
/// [`NoMemory`].
pub fn with_lists<P: Platform>(manager: &ModuleManager<P>, id: ModuleId, module: Module) -> Result<Module, NoMemory> {
    let (parameters, imports) = (parameters(manager, id)?, imports(manager, id)?);
    let supervision = manager.supervised(id).as_ref().map(supervision).transpose()?;
    let (functions, events) = (functions(manager, id)?, events(manager, id)?);
    Ok(Module { parameters, imports, functions, events, supervision, ..module })
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
        if let Ok(list) = &mut imports {
            let added = bound_import(manager, import.name, provider).and_then(|import| push(list, import));
            imports = added.map(|()| core::mem::take(list));
        }
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
        if let (Ok(list), Some(profile)) = (&mut functions, called) {
            let added = function(&profile, interface, name).and_then(|function| push(list, function));
            functions = added.map(|()| core::mem::take(list));
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
    let mut list = Ok::<_, NoMemory>(Vec::new());
    manager.for_each_event(id, |event| {
        if let Ok(known) = &mut list {
            let added = described(&event, now_us).and_then(|event| push(known, event));
            list = added.map(|()| core::mem::take(known));
        }
    });
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

fn batch(batched: &BatchTiming) -> Batch {
    Batch {
        calls: batched.calls,
        cycles: batched.centicycles as f64 / 100.0,
        resolution: batched.resolution_centicycles as f64 / 100.0,
        counters: batched.counters.as_ref().map(|counted| BatchCounters {
            core_cycles: counted.core_cycles as f64 / 100.0,
            instructions: counted.instructions as f64 / 100.0,
            branch_misses: counted.branch_misses as f64 / 100.0,
            cache_misses: counted.cache_misses as f64 / 100.0,
        }),
    }
}

/// Converts a fault to its message, without the function.
#[must_use]
pub fn fault(fault: &bareflow_loader::Fault) -> Fault {
    Fault { kind: fault.kind.name().into(), offset: fault.offset, address: fault.address, function: None }
}

/// Converts a fault to its message, with the function to blame.
fn in_function(found_fault: &bareflow_loader::Fault, found: Option<&Diagnosis>) -> Result<Fault, NoMemory> {
    let function = found.and_then(|found| found.function.as_ref());
    Ok(Fault { function: function.map(|function| text!("{function}")).transpose()?, ..fault(found_fault) })
}

fn diagnosis(found: &Diagnosis) -> Result<report::Diagnosis, NoMemory> {
    let registers = REGISTER_NAMES.iter().zip(found.registers);
    let panic =
        found.panic.as_ref().map(|panic| text!("{} ({}:{})", panic.message, Printable(panic.file.bytes()), panic.line));
    let call = |service: u32, [first, second]: [u64; 2]| {
        let name = SERVICE_NAMES.iter().find(|(bit, _)| *bit == service).map_or("unknown", |(_, name)| name);
        text!("{name}({first:#x}, {second:#x})")
    };
    Ok(report::Diagnosis {
        registers: collect::<_, NoMemory>(registers.map(|(name, value)| Ok(Register { name: (*name).into(), value })))?,
        code: copy(found.code())?,
        disassembly: Vec::new(),
        services: collect(found.services.calls().iter().map(|service| call(service.service, service.arguments)))?,
        panic: panic.transpose()?,
        remedy: None,
    })
}

/// Converts a diagnosis to its message, with the remedy for the module's last fault.
fn explained(profile: &ModuleProfile, found: &Diagnosis) -> Result<report::Diagnosis, NoMemory> {
    let remedy = |fault| Remedy::of(fault, Some(found), &profile.budget, profile.services);
    let remedy = profile.fault.as_ref().and_then(remedy);
    Ok(report::Diagnosis { remedy: remedy.map(|remedy| text!("{remedy}")).transpose()?, ..diagnosis(found)? })
}
