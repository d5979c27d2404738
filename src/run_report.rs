//! The end of a run: the report is completed, written, and its failures listed.

use anyhow::Result;
use bareflow_protocol::Report;

use crate::disassemble_faults::disassemble_faults;
use crate::input_files::{InputFiles, write_json};
use crate::options::RunOptions;
use crate::{Exit, complain};

/// Adds the unreadable files to the report, and writes it to the file that `options` name.
///
/// # Errors
/// When the file can't be written.
pub fn finish(report: &mut Report, files: InputFiles, options: &RunOptions) -> Result<Exit> {
    disassemble_faults(report);
    report.passed &= files.unreadable.is_empty();
    report.refused.extend(files.unreadable);
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
