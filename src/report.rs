//! The report at the end of a run: it is completed by the disassembly of the code at faults, which only the host has,
//! and written, and its failures are listed.

use anyhow::Result;
use bareflow_loader::FaultKind;
use bareflow_protocol::Report;
use bareflow_protocol::report::{Module, Refusal};

use crate::input_files::write_json;
use crate::inspect::disassembly::instructions_at;
use crate::options::RunOptions;
use crate::{Exit, complain, say};

/// The number of instructions shown for a fault.
const SHOWN: usize = 4;

/// Adds the files that are `unreadable` to the report, and writes it to the file that `options` name.
///
/// # Errors
/// When the file can't be written.
pub fn finish(report: &mut Report, unreadable: Vec<Refusal>, options: &RunOptions) -> Result<Exit> {
    disassemble_faults(report);
    report.passed &= unreadable.is_empty();
    report.refused.extend(unreadable);
    if let Some(path) = &options.json {
        write_json(path, report)?;
    }
    summarise(report);
    Ok(if report.passed { Exit::Passed } else { Exit::Failed })
}

/// Lists the failures at the end of a run, since a run's output is long.
fn summarise(report: &Report) {
    if report.passed {
        return;
    }
    let style = anstyle::AnsiColor::Red.on_default();
    complain!("{style}error: not all passed:{style:#}");
    for refusal in &report.refused {
        complain!("  refused  {}: {}", refusal.source, refusal.error);
    }
    for module in &report.modules {
        if let Some(fault) = &module.fault {
            complain!("  faulted  {} {}: {}", module.name, module.version, fault.kind);
        }
    }
    for test in report.tests.iter().filter(|test| !test.passed) {
        if let (Some(result), Some(expected)) = (test.result, test.expected) {
            complain!("  failed   {}: returned {result}, expected {expected}", test.module);
        }
    }
}

/// Disassembles the code at each fault of `report`, and prints it.
fn disassemble_faults(report: &mut Report) {
    for module in &mut report.modules {
        disassemble(module);
        let (Some(diagnosis), Some(fault)) = (&module.diagnosis, &module.fault) else { continue };
        if diagnosis.disassembly.is_empty() {
            continue;
        }
        let function = fault.function.as_ref().map(|function| format!(" in {function}")).unwrap_or_default();
        say!("\n[FAULT] code of {} {} at its {}{function}:", module.name, module.version, fault.kind);
        for line in &diagnosis.disassembly {
            say!("  {line}");
        }
    }
}

/// Disassembles the code at a module's fault.
///
/// Faults that a module raises itself, such as panics, are left out: their code is the same in all modules.
pub fn disassemble(module: &mut Module) {
    let (Some(diagnosis), Some(fault)) = (&mut module.diagnosis, &module.fault) else { return };
    if FaultKind::ALL.iter().any(|kind| kind.is_modules_own_word() && kind.name() == fault.kind) {
        return;
    }
    let Some(rip) = diagnosis.registers.first().map(|register| register.value) else { return };
    diagnosis.disassembly = instructions_at(rip, &diagnosis.code);
    diagnosis.disassembly.truncate(SHOWN);
}
