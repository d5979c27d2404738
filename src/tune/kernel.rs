//! Instruction counts of the candidates in a kernel in QEMU, where one tick is one instruction.

use std::time::Duration;

use anyhow::{Result, anyhow};
use bareflow_protocol::{KernelOptions, Report};

use super::candidates::Candidate;
use super::host_runner::disagreement;
use super::{TuneRun, label};
use crate::embedded;
use crate::input_files::InputFiles;
use crate::needed::{lines_for, name_of};
use crate::qemu::Machine;
use crate::setup::kernel_remedy;

/// The number of calls of each candidate; the cheapest counts.
const CALLS: u32 = 3;

/// The time after which the kernel is given up.
const TIMEOUT: Duration = Duration::from_secs(300);

/// Counts the instructions of the candidates that QEMU's processor can run. Returns a note if nothing could be counted.
///
/// All must return the same and write the same; otherwise the error names the pair that differs.
pub(super) fn count(candidates: &mut [Candidate], work: &TuneRun<'_>) -> Result<Option<String>> {
    if embedded::KERNEL.is_empty() {
        return Ok(Some(format!("no instructions counted: this build has no kernel; {}", kernel_remedy())));
    }
    let needed = work.needed.iter().map(|blob| ("needed".to_owned(), blob.clone()));
    let own = candidates.iter().enumerate().map(|(index, candidate)| (label(index), candidate.blob.clone()));
    let for_needed = work.needed.iter().map(|blob| name_of(blob)).map(|name| lines_for(&work.lines, &name, &name));
    let parameters = for_needed.chain((0..candidates.len()).map(|index| work.lines_for(index))).collect();
    let blobs = needed.chain(own).collect();
    let files = InputFiles { blobs, input: work.input.clone(), parameters, ..InputFiles::default() };
    let machine = Machine {
        icount: true,
        timeout: TIMEOUT,
        options: KernelOptions { repeat: CALLS, ..KernelOptions::default() },
        files,
        ..Machine::new(embedded::KERNEL)
    };
    let outcome = match machine.run(|_| ()) {
        Ok(outcome) => outcome,
        Err(problem) => return Ok(Some(format!("no instructions counted: {problem}"))),
    };
    let report = outcome.into_report()?;
    let mut first: Option<(usize, i32, Option<u32>)> = None;
    for index in 0..candidates.len() {
        let Some((result, instructions)) = found(&report, work, index, &candidates[index])? else { continue };
        let test = report.tests.iter().find(|test| test.module == label(index));
        let output = test.and_then(|test| test.output_checksum);
        match first {
            None => first = Some((index, result, output)),
            Some((other, as_returned, _)) if as_returned != result => {
                let values = format!("{as_returned} against {result}, in the kernel");
                let pair = [&candidates[other], &candidates[index]];
                return Err(disagreement(work, pair, "return", &values, CALLS - 1));
            }
            Some((other, _, written)) if written != output => {
                let pair = [&candidates[other], &candidates[index]];
                return Err(disagreement(work, pair, "write", "other bytes, in the kernel", CALLS - 1));
            }
            Some(_) => {}
        }
        candidates[index].instructions = Some(instructions);
    }
    Ok(None)
}

/// Returns the result and the instructions of a candidate; `None` if the processor can't run it.
fn found(report: &Report, work: &TuneRun<'_>, index: usize, candidate: &Candidate) -> Result<Option<(i32, u64)>> {
    let name = label(index);
    let said = |why: &str| anyhow!("{}, {}, in the kernel: {why}", work.name, candidate.label());
    if let Some(refusal) = report.refused.iter().find(|refusal| refusal.source == name) {
        // There is no figure for a level that the processor does not have.
        return if refusal.missing_cpu_level.is_some() { Ok(None) } else { Err(said(&refusal.error)) };
    }
    let module = report.modules.iter().find(|module| module.name == name).ok_or_else(|| said("not in its report"))?;
    if let Some(fault) = &module.fault {
        return Err(said(&format!("it faulted: {}", fault.kind)));
    }
    let figures = module.last_result.zip(module.corrected.min);
    figures.map(Some).ok_or_else(|| said("it was not run"))
}
