//! `watch`: a module that is built and pushed at once and whenever one of its files is
//! saved. `changes` notices that, `round` does the rest.

mod changes;
mod cycle;

use std::path::Path;
use std::time::Duration;

use bareflow_builder::discover::{ModuleCrate, all_beside};

use crate::build_command::chosen_one;
use crate::client::Client;
use crate::client::error::Lost;
use crate::files::write_json;
use crate::options::WatchOptions;
use crate::{BoxError, Exit, complain, new, say};
use changes::Changes;
use cycle::Cycle;

/// How often is looked whether the kernel is still there.
const CHECK: Duration = Duration::from_millis(250);

/// Carries the command out: builds and loads the module, then does so again at each save. When the kernel goes, it
/// waits for the next one. With `--once` it waits for one save, and ends with what came of that.
///
/// # Errors
/// What keeps it from being carried out: there is no such module, or no kernel at the start.
pub fn watch(options: &WatchOptions) -> Result<Exit, BoxError> {
    let (mut module, _) = chosen_one(&options.name)?;
    let folder = module.manifest.parent().unwrap_or(Path::new(".")).to_owned();
    let mut client = Client::connect(&options.connect)?;
    let changes = Changes::below(&folder, &all_beside(&module)?)?;
    say!("watching {}; Ctrl-C ends", folder.display());
    let (mut manifest_saved, mut due) = (false, !options.once);
    loop {
        if !due {
            match changes.next(CHECK)? {
                Some(saved) => manifest_saved |= saved.manifest,
                None if client.check().is_ok() => continue,
                // The next one has what it was booted with.
                None => client = next_kernel(options)?,
            }
        }
        due = false;
        let round = match renew(&mut module, options, &mut manifest_saved)
            .and_then(|()| cycle::run(&module, options.overrides.overrides(), &mut client))
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

/// Waits for a kernel where one was. What keeps it from being talked to is said once.
fn next_kernel(options: &WatchOptions) -> Result<Client, BoxError> {
    if options.once {
        return Err("the kernel is gone before anything was saved; run `bareflow serve` again".into());
    }
    say!("the kernel is gone; waiting for the next one");
    let mut said = String::new();
    loop {
        match Client::connect(&options.connect) {
            Ok(client) => return Ok(client),
            Err(problem) => {
                let problem = problem.to_string();
                if problem != said && !problem.starts_with("no kernel") {
                    complain!("{problem}");
                    said = problem;
                }
            }
        }
        std::thread::sleep(CHECK);
    }
}

/// Reads the module anew once its manifest was saved: version and settings may be others now.
fn renew(module: &mut ModuleCrate, options: &WatchOptions, manifest_saved: &mut bool) -> Result<(), BoxError> {
    if *manifest_saved {
        if module.is_bareflows_own() {
            new::enter_into_lock_file(&module.root.join("Cargo.toml"))?;
        }
        (*module, _) = chosen_one(&options.name)?;
        *manifest_saved = false;
    }
    Ok(())
}
