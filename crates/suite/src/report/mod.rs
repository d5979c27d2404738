//! Conversions from the manager's profiles to the report that is sent.

mod details;
mod faults;
mod module;

use alloc::string::ToString;
use alloc::vec::Vec;

use bareflow_loader::{BatchTiming, Diagnosis, Domain, ModuleId, ModuleManager, Platform};
use bareflow_protocol::Report;
use bareflow_protocol::report::{DomainCost, Environment, Module, Refusal, SCHEMA, Test};
use raw_cpuid::{CpuId, CpuIdReaderNative};

use crate::Plan;
use crate::fallible::NoMemory;
pub use details::with_details;
pub use faults::fault;
pub use module::module;

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

/// Describes all modules; `with_ascent` adds what only their files tell. Those that there is no memory to describe count as
/// refused.
pub(crate) fn modules<P: Platform>(
    manager: &ModuleManager<P>,
    diagnoses: &[(ModuleId, Diagnosis)],
    batches: &[(ModuleId, BatchTiming)],
    with_ascent: impl Fn(ModuleId, Module) -> Result<Module, NoMemory>,
) -> (Vec<Module>, Vec<Refusal>) {
    let (mut modules, mut refused) = (Vec::new(), Vec::new());
    for id in manager.ids() {
        let Some(profile) = manager.stats(id) else { continue };
        let found = diagnoses.iter().rfind(|(of, _)| *of == id).map(|(_, found)| found);
        let batch = batches.iter().find(|(of, _)| *of == id).map(|(_, batched)| module::batch(batched));
        let described = module(&profile, manager.peak_use(id), found);
        let described = described.and_then(|module| with_details(manager, id, Module { batch, ..module }));
        match described.and_then(|module| with_ascent(id, module)) {
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
