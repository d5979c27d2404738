//! The `watch` command: a module is built and pushed at the start and whenever one of its files is saved.
//!
//! `changes` notices saves, `cycle` does the rest.

mod changes;
mod cycle;

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use bareflow_builder::discover::{ModuleCrate, all_beside};

use crate::build_command::chosen_one;
use crate::client::Client;
use crate::client::error::Lost;
use crate::input_files::write_json;
use crate::options::WatchOptions;
use crate::serve::address::NoKernel;
use crate::{Exit, complain, say, workspace};
use changes::Changes;
use cycle::Cycle;

/// The interval between checks whether the kernel is still there.
const CHECK: Duration = Duration::from_millis(250);

/// Runs the command: builds and loads the module, and does so again at each save.
///
/// When the kernel ends, the command waits for the next one. With `--once`, it waits for one save, and ends with the
/// outcome of that cycle.
///
/// # Errors
/// Anything that keeps the command from being carried out, such as a missing module, or no kernel at the start.
pub fn watch(options: &WatchOptions) -> Result<Exit> {
    let (mut module, _) = chosen_one(&options.name)?;
    let folder = module.manifest.parent().unwrap_or(Path::new(".")).to_owned();
    let mut client = Client::connect(&options.connect)?;
    let changes = Changes::below(&folder, &all_beside(&module)?, &module.target)?;
    say!("watching {}; Ctrl-C ends", folder.display());
    let (mut manifest_saved, mut due) = (false, !options.once);
    loop {
        if !due {
            match changes.next(CHECK)? {
                Some(saved) => manifest_saved |= saved.manifest,
                None if client.check().is_ok() => continue,
                // The next kernel has the modules it was booted with.
                None => client = next_kernel(options)?,
            }
        }
        due = false;
        let round = match renew(&mut module, options, &mut manifest_saved)
            .and_then(|()| cycle::run(&module, options, &mut client))
        {
            Ok(round) => round,
            Err(problem) if problem.is::<Lost>() && options.once => return Err(problem),
            Err(problem) if problem.is::<Lost>() => {
                complain!("{problem}");
                client = next_kernel(options)?;
                due = true;
                continue;
            }
            Err(problem) => Cycle::failed(&module, problem.to_string()),
        };
        if let Some(path) = &options.connect.json {
            write_json(path, &round)?;
        }
        round.show();
        if options.once {
            return Ok(if round.error.is_none() { Exit::Passed } else { Exit::Failed });
        }
    }
}

/// Waits for the next kernel at the same address. An error other than a missing kernel is shown once.
fn next_kernel(options: &WatchOptions) -> Result<Client> {
    ensure!(!options.once, "the kernel is gone before anything was saved; run `bareflow serve` again");
    say!("the kernel is gone; waiting for the next one");
    let mut said = String::new();
    loop {
        match Client::connect(&options.connect) {
            Ok(client) => return Ok(client),
            Err(problem) => {
                let text = problem.to_string();
                if text != said && !problem.is::<NoKernel>() {
                    complain!("{text}");
                    said = text;
                }
            }
        }
        std::thread::sleep(CHECK);
    }
}

/// Reads the module again if its manifest was saved, since its version and settings may have changed.
fn renew(module: &mut ModuleCrate, options: &WatchOptions, manifest_saved: &mut bool) -> Result<()> {
    if *manifest_saved {
        if module.is_bareflows_own() {
            workspace::enter_into_lock_file(&module.root.join("Cargo.toml"))?;
        }
        (*module, _) = chosen_one(&options.name)?;
        *manifest_saved = false;
    }
    Ok(())
}
