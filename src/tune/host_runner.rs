//! Measurement of the candidates' ticks in this process.

use anyhow::{Error, Result, anyhow, bail};
use bareflow_loader::{InvalidModule, LoadError, LoadOptions, ModuleId, Timing};
use bareflow_suite::OUTPUT_CAPACITY;

use super::TuneRun;
use super::candidates::{Candidate, Ticks};
use crate::in_process;

/// The number of calls before those that count.
const WARM_UP: u32 = 3;

/// Measures the candidates that this processor can run, by turns, so that other load on the machine affects all of them
/// alike.
///
/// All must return the same and write the same; otherwise the error names the pair that differs.
pub(super) fn measure(candidates: &mut [Candidate], work: &TuneRun<'_>) -> Result<()> {
    let manager = in_process::manager(Timing::Precise, |_| (), None)?;
    let options = LoadOptions::default();
    let refused = |blob: &[u8], error| in_process::load_error(&manager, blob, &options, &error);
    for blob in &work.needed {
        let loaded =
            manager.load_with(blob, options.with_parameters(&&*work.lines)).map_err(|error| refused(blob, error));
        loaded.map_err(|error| anyhow!("a module that {} needs is refused: {error}", work.name))?;
    }
    let mut loaded: Vec<(usize, ModuleId, Vec<u64>)> = Vec::new();
    for (index, candidate) in candidates.iter().enumerate() {
        match manager.load_with(&candidate.blob, options.with_parameters(&&*work.lines_for(index))) {
            Ok(id) => loaded.push((index, id, Vec::new())),
            // There is no figure for a level that the processor does not have.
            Err(LoadError::Invalid(InvalidModule::CpuLevel { .. })) => {}
            Err(error) => {
                let error = refused(&candidate.blob, error);
                bail!("{}, {}, is refused: {error}", work.name, candidate.label());
            }
        }
    }
    let (mut output, mut expected) = (vec![0; OUTPUT_CAPACITY], vec![0; OUTPUT_CAPACITY]);
    for call in 0..WARM_UP + work.repeat {
        let mut first: Option<(usize, i32, usize)> = None;
        for (index, id, cycles) in &mut loaded {
            let returned = manager.execute_timed(*id, &work.input, &mut output).map_err(|error| {
                let error = in_process::call_error(&manager, *id, &error);
                anyhow!("{}, {}: {error}", work.name, candidates[*index].label())
            })?;
            let (result, length) = (returned.outcome.result, returned.outcome.output_length);
            match first {
                None => {
                    first = Some((*index, result, length));
                    expected[..length].copy_from_slice(&output[..length]);
                }
                Some((other, as_returned, _)) if as_returned != result => {
                    let found = format!("{as_returned} against {result}");
                    return Err(disagreement(work, [&candidates[other], &candidates[*index]], "return", &found, call));
                }
                Some((other, _, written)) if expected[..written] != output[..length] => {
                    let found = format!("{written} against {length} bytes");
                    return Err(disagreement(work, [&candidates[other], &candidates[*index]], "write", &found, call));
                }
                Some(_) => {}
            }
            if call >= WARM_UP {
                cycles.push(returned.cycles.saturating_sub(manager.call_overhead_cycles()));
            }
        }
    }
    for (index, _, mut cycles) in loaded {
        cycles.sort_unstable();
        let ticks = cycles.first().zip(cycles.get(cycles.len() / 2));
        candidates[index].ticks = ticks.map(|(&min, &median)| Ticks { median, min });
    }
    Ok(())
}

/// Returns the error for two builds of one module that behave differently.
pub(super) fn disagreement(work: &TuneRun<'_>, pair: [&Candidate; 2], verb: &str, found: &str, call: u32) -> Error {
    let [one, other] = pair.map(Candidate::label);
    anyhow!(
        "{}: {one} and {other} {verb} different things at call {}: {found}; \
         does it depend on the clock, on uninitialised memory, or on the order of floating-point sums?",
        work.name,
        call + 1
    )
}
