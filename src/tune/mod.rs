//! The `tune` command: builds a module in many ways, runs all builds on the same input, and finds those that pay off.
//!
//! `candidates` builds, `host_runner` measures ticks in this process, `kernel` counts instructions in a kernel in QEMU,
//! `choice` finds what pays off, `show` and `plot` present the figures, and `write` writes the choice down.

mod candidates;
mod choice;
mod host_runner;
mod kernel;
mod plot;
mod show;
mod write;

use std::iter;

use anyhow::{Result, ensure};
use bareflow_builder::build_module;
use bareflow_builder::discover::ModuleCrate;

use crate::build_command::{chosen_one, progress};
use crate::input::read_input;
use crate::input_files::write_json;
use crate::needed::{lines_for, needed_by};
use crate::options::TuneOptions;
use crate::{Exit, say};
use candidates::Candidate;

/// The work that the candidates do.
struct TuneRun<'run> {
    /// The module's own name.
    name: &'run str,
    /// The blobs of the modules that it calls and of the providers of its imports.
    needed: Vec<Vec<u8>>,
    /// The lines that set parameters and bind imports.
    lines: String,
    input: Vec<u8>,
    repeat: u32,
}

impl TuneRun<'_> {
    /// Returns the lines for the candidate with this index, whose module has another name.
    fn lines_for(&self, index: usize) -> String {
        lines_for(&self.lines, self.name, &label(index))
    }
}

/// Returns the name of a candidate's module.
fn label(index: usize) -> String {
    format!("tune-{index}")
}

/// Runs the command.
///
/// # Errors
/// When there is no such module, a build or a run fails, or a file can't be read or written.
pub fn tune(options: &TuneOptions) -> Result<Exit> {
    let (module, _) = chosen_one(&options.name)?;
    let module = &module;
    ensure!(
        !module.settings.portable,
        "{} is portable, and an engine chooses its code; `tune` is for native modules: leave out `portable = true`",
        module.name
    );
    let input = read_input(options.input.as_deref())?;
    match measure(module, input, options) {
        Ok((candidates, notes)) => {
            let choice = choice::choose(&candidates);
            show::show(&candidates, &choice, &notes);
            if options.write {
                write::write(module, &choice)?;
                say!("\nwritten to {}", module.manifest.display());
            } else {
                say!("\n`--write` writes it to {}", module.manifest.display());
            }
            if let Some(path) = &options.plot {
                plot::plot(path, &module.name, &candidates)?;
            }
            if let Some(path) = &options.json {
                write_json(path, &show::Tuning::new(module, &candidates, &choice, &notes, options.write))?;
            }
            Ok(Exit::Passed)
        }
        Err(failure) => {
            crate::complain!("error: {failure}");
            Ok(Exit::Failed)
        }
    }
}

/// Builds and measures all candidates. Returns them, and notes for the user.
fn measure(module: &ModuleCrate, input: Vec<u8>, options: &TuneOptions) -> Result<(Vec<Candidate>, Vec<String>)> {
    let mut notes = Vec::new();
    let lines = options.assignments.lines();
    let built = build_module(module, &module.target.join("modules"))?;
    let needed = needed_by(module, &built.bytes, iter::empty(), &lines)?;
    let work = TuneRun { name: &module.name, needed, lines, input, repeat: options.repeat };
    let progress = progress(2 * options.cpu_levels.len() * options.opt_levels.len() + 2);
    let mut candidates = candidates::build(module, &work, options, &mut notes, &progress)?;
    progress.set_message("running here");
    host_runner::measure(&mut candidates, &work)?;
    progress.inc(1);
    progress.set_message("running in the kernel");
    notes.extend(kernel::count(&mut candidates, &work)?);
    progress.finish_and_clear();
    Ok((candidates, notes))
}
