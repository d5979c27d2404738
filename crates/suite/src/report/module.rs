//! The figures of a module.

use alloc::vec::Vec;

use bareflow_loader::{BatchTiming, Diagnosis, ModuleProfile, PeakUse};
use bareflow_protocol::report::{Batch, BatchCounters, Corrected, Module};

use super::faults::{explained, in_function};
use crate::fallible::NoMemory;
use crate::text;

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
        memory_bytes: profile.memory.bytes(),
        code_address: profile.code_address,
        cpu_level: profile.cpu_level,
        code_size: profile.code_size,
        blob_size: profile.blob_size,
        engine: None,
        tier: None,
        ascent: None,
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

/// Converts the timing of a batch of calls to its message.
pub(super) fn batch(batched: &BatchTiming) -> Batch {
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
