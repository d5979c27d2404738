//! From the manager's figures to the report that travels.

use alloc::string::ToString;
use alloc::vec::Vec;

use bareflow_loader::{ModuleManager, ModuleProfile, Platform};
use bareflow_protocol::Report;
use bareflow_protocol::report::{Corrected, Environment, Fault, Module, Refusal, SCHEMA, Test};

pub(crate) fn report<P: Platform>(
    manager: &ModuleManager<P>,
    mut environment: Environment,
    tests: Vec<Test>,
    refused: Vec<Refusal>,
) -> Report {
    environment.call_overhead_cycles = manager.call_overhead_cycles();
    environment.timing = manager.timing().name().to_string();
    let modules: Vec<_> = manager.profiles().map(|profile| module(&profile)).collect();
    let no_fault = modules.iter().all(|module| module.fault.is_none());
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

fn module(profile: &ModuleProfile) -> Module {
    let cycles = profile.cycles.as_ref();
    let corrected = cycles.map(|cycles| &cycles.corrected);
    Module {
        name: profile.name.to_string(),
        version: profile.version.to_string(),
        generation: profile.generation,
        domain: profile.domain.name().to_string(),
        state: if profile.fault.is_some() { "faulted" } else { "loaded" }.to_string(),
        code_address: profile.code_address,
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
        last_result: profile.last_result,
        fault: profile.fault.map(|fault| Fault {
            kind: fault.kind.name().to_string(),
            offset: fault.offset,
            address: fault.address,
        }),
    }
}
