//! `build`: the blobs, listed with their sizes.

use std::io::{IsTerminal, stderr};
use std::time::Duration;

use bareflow_builder::discover::{ModuleCrate, Workspace, discover};
use bareflow_builder::{Blob, BuildError, build_module};
use bareflow_loader::RawModule;
use indicatif::{ProgressBar, ProgressStyle};

use crate::{Ended, Problem, new, say};

/// Carries the command out. With `strip`, no blob names its functions.
///
/// # Errors
/// When there is no workspace here, or no module of a given name.
pub fn build(names: &[String], strip: bool) -> Result<Ended, Problem> {
    let workspace = discover(&new::workspace_manifest()?)?;
    let modules = select(&workspace, names)?;
    let progress = progress(modules.len());
    let folder = workspace.target.join("modules");
    let mut ended = Ended::Passed;
    say!("{:<31} {:>8} {:>8}  FILE", "MODULE", "CODE", "BLOB");
    for module in modules {
        progress.set_message(module.name.clone());
        let mut module = module.clone();
        module.settings.strip |= strip;
        match build_module(&module, &folder) {
            Ok(blob) => progress.suspend(|| list(&blob)),
            Err(error) => {
                progress.suspend(|| anstream::eprintln!("error: {error}"));
                ended = Ended::Failed;
            }
        }
        progress.inc(1);
    }
    progress.finish_and_clear();
    Ok(ended)
}

fn list(blob: &Blob) {
    let code = RawModule::parse(&blob.bytes).map_or(0, |raw| raw.code.text.len());
    say!("{:<31} {code:>8} {:>8}  {}", blob.name, blob.bytes.len(), blob.path.display());
}

pub(crate) fn select<'all>(workspace: &'all Workspace, names: &[String]) -> Result<Vec<&'all ModuleCrate>, BuildError> {
    if names.is_empty() {
        return Ok(workspace.modules.iter().collect());
    }
    let find = |name: &String| {
        workspace.modules.iter().find(|module| module.name == *name).ok_or_else(|| BuildError::NoSuchModule {
            name: name.clone(),
            known: workspace.modules.iter().map(|module| module.name.clone()).collect(),
        })
    };
    names.iter().map(find).collect()
}

/// A line that shows how far the build is, on a terminal only.
pub(crate) fn progress(modules: usize) -> ProgressBar {
    if !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {pos}/{len} {wide_bar} {msg}");
    let bar = ProgressBar::new(modules as u64);
    bar.enable_steady_tick(Duration::from_millis(100));
    style.map_or(bar.clone(), |style| bar.with_style(style))
}
