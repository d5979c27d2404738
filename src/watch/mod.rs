//! `watch`: a module that is built and pushed whenever one of its files is
//! saved. `saves` notices that, `round` does the rest.

mod round;
mod saves;

use std::path::Path;
use std::time::Duration;

use bareflow_builder::BuildError;
use bareflow_builder::discover::{ModuleCrate, discover};

use crate::client::Client;
use crate::client::error::Lost;
use crate::files::write_json;
use crate::options::WatchOptions;
use crate::{Ended, Problem, new, say};
use round::Round;
use saves::Saves;

/// How often is looked whether the kernel is still there.
const CHECK: Duration = Duration::from_millis(250);

/// Carries the command out.
///
/// # Errors
/// What keeps it from being carried out: it ends so when the kernel is gone.
pub fn watch(options: &WatchOptions) -> Result<Ended, Problem> {
    let mut module = find(&options.name)?;
    let folder = module.manifest.parent().unwrap_or(Path::new(".")).to_owned();
    let mut client = Client::dial(&options.dial)?;
    let saves = Saves::below(&folder, &module.beside)?;
    say!("watching {}; Ctrl-C ends", folder.display());
    let mut manifest_saved = false;
    loop {
        let Some(saved) = saves.next(CHECK)? else {
            client.check()?;
            continue;
        };
        manifest_saved |= saved.manifest;
        let round = match renew(&mut module, &mut manifest_saved)
            .and_then(|()| round::run(&module, options.wish.wish(), &mut client))
        {
            Ok(round) => round,
            Err(problem) if problem.is::<Lost>() => return Err(problem),
            Err(problem) => Round::failed(&module, problem.to_string()),
        };
        if let Some(path) = &options.dial.json {
            write_json(path, &round)?;
        }
        round.show();
        if options.once {
            return Ok(if round.error.is_none() { Ended::Passed } else { Ended::Failed });
        }
    }
}

/// The module of that name in this workspace.
fn find(name: &str) -> Result<ModuleCrate, Problem> {
    let workspace = discover(&new::workspace_manifest()?)?;
    let known = workspace.modules.iter().map(|module| module.name.clone()).collect();
    let missing = || BuildError::NoSuchModule { name: name.to_owned(), known };
    Ok(workspace.modules.into_iter().find(|module| module.name == name).ok_or_else(missing)?)
}

/// Reads the module anew once its manifest was saved: version and settings may be others now.
fn renew(module: &mut ModuleCrate, manifest_saved: &mut bool) -> Result<(), Problem> {
    if *manifest_saved {
        new::enter_into_lock_file(&new::workspace_manifest()?)?;
        *module = find(&module.name)?;
        *manifest_saved = false;
    }
    Ok(())
}
