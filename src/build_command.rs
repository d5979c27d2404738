//! The `build` command, and the selection of modules that other commands share.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail, ensure};
use bareflow_builder::discover::{ModuleCrate, Workspace, discover, drivers, engines, gallery, has_engines, module_at};
use bareflow_builder::subprocess::flags_set_aside;
use bareflow_builder::{Blob, BuildError, Checks, build_module};
use indicatif::ProgressBar;

use crate::options::BuildOptions;
use crate::output::progress_bar;
use crate::{Exit, say, workspace};

/// The folder of the engines in the target directory.
pub(crate) const ENGINES: &str = "engines";

/// Runs the command, on the engines if `engines` says so. With `strip`, blobs contain no function names.
///
/// # Errors
/// When there is no workspace here, or no module of a given name.
pub fn build(options: &BuildOptions, engines: bool, strip: bool) -> Result<Exit> {
    let modules = if engines { chosen_engines(&options.names)? } else { chosen(options)? };
    warn_of_flags();
    let progress = progress(modules.len());
    let mut ended = Exit::Passed;
    say!("{:<31} {:>8} {:>8}  FILE", "MODULE", "CODE", "BLOB");
    for (module, folder) in &modules {
        progress.set_message(module.name.clone());
        let mut module = module.clone();
        module.settings.strip |= strip;
        match build_module(&module, folder) {
            Ok(blob) => {
                progress.suspend(|| {
                    list(&blob);
                    warn(&blob);
                });
                if engines {
                    note_time(&blob.path);
                }
            }
            Err(error) => {
                progress.suspend(|| crate::complain!("error: {error}"));
                ended = Exit::Failed;
            }
        }
        progress.inc(1);
    }
    progress.finish_and_clear();
    Ok(ended)
}

/// Notes when an engine was built, also if its blob is what it was: commands that take engines along compare that with the
/// times of the sources. If it can't be noted, they say once too often that the blob is older.
fn note_time(blob: &Path) {
    let _ = std::fs::File::options().append(true).open(blob).and_then(|file| file.set_modified(SystemTime::now()));
}

/// Returns the selected modules, each with the folder for its blob.
///
/// # Errors
/// When there is no workspace and no crate here, or no module of a given name.
pub(crate) fn chosen(options: &BuildOptions) -> Result<Vec<(ModuleCrate, PathBuf)>> {
    let mut all = all_chosen(options)?;
    if all.is_empty() {
        let manifest = workspace::workspace_manifest()?;
        let folder = manifest.with_file_name("modules");
        bail!("no module in {}; `bareflow new NAME` makes one there", folder.display());
    }
    if options.portable {
        all.iter_mut().for_each(|(module, _)| module.settings.portable = true);
    }
    if options.debug {
        all.iter_mut().for_each(|(module, _)| module.checks = Checks::ALL);
    }
    Ok(all)
}

/// Returns the one module that a name or a folder selects.
///
/// # Errors
/// As with [`chosen`].
pub(crate) fn chosen_one(name: &str) -> Result<(ModuleCrate, PathBuf)> {
    let options = BuildOptions { names: vec![name.to_owned()], ..BuildOptions::default() };
    chosen(&options)?.into_iter().next().with_context(|| format!("no module {name}"))
}

fn all_chosen(options: &BuildOptions) -> Result<Vec<(ModuleCrate, PathBuf)>> {
    let is_built =
        |name: &&String| Path::new(name).extension().is_some_and(|ending| ending == "wasm" || ending == "mod");
    if let Some(file) = options.names.iter().find(is_built) {
        bail!("{file} is a module that is built already, expected a crate; name it, or its folder");
    }
    if options.gallery {
        return in_folder(&gallery(&workspace::workspace_manifest()?)?, &options.names, "gallery");
    }
    if options.drivers {
        return in_folder(&drivers(&workspace::workspace_manifest()?)?, &options.names, "drivers");
    }
    let inside = workspace::workspace_manifest();
    if options.names.is_empty() && inside.is_err() && Path::new("Cargo.toml").is_file() {
        return Ok(vec![crate_at(".")?]);
    }
    if inside.is_err()
        && let [name] = options.names.as_slice()
        && !is_path(name, false)
        && Path::new("Cargo.toml").is_file()
    {
        // The crate's own name selects it, as its folder does.
        let (module, blobs) = crate_at(".")?;
        if module.name == *name {
            return Ok(vec![(module, blobs)]);
        }
        let found = module.name;
        bail!("no module {name}: the crate here is {found}; name that, or the folder of another");
    }
    let (paths, names): (Vec<_>, Vec<_>) =
        options.names.iter().cloned().partition(|name| is_path(name, inside.is_ok()));
    let mut all = paths.iter().map(|path| crate_at(path)).collect::<Result<Vec<_>, _>>()?;
    if paths.is_empty() || !names.is_empty() {
        let workspace = discover(&inside?)?;
        all.extend(in_folder(&workspace, &names, "modules")?);
    }
    Ok(all)
}

/// Returns the engines with these names, or all, each with the folder for its blob.
///
/// # Errors
/// When there are no engines here, or none of a given name.
pub(crate) fn chosen_engines(names: &[String]) -> Result<Vec<(ModuleCrate, PathBuf)>> {
    let manifest = workspace::workspace_manifest()?;
    ensure!(
        has_engines(&manifest),
        "no engines in {}, expected the folder `engines` of BareFlow; change to a checkout of it",
        manifest.with_file_name("").display()
    );
    in_folder(&engines(&manifest)?, names, ENGINES)
}

/// Returns the modules of `workspace` with these names, or all, with the folder `folder` of its target directory.
fn in_folder(workspace: &Workspace, names: &[String], folder: &str) -> Result<Vec<(ModuleCrate, PathBuf)>> {
    let folder = workspace.target.join(folder);
    Ok(select(workspace, names)?.into_iter().map(|module| (module.clone(), folder.clone())).collect())
}

/// Whether `name` is a path rather than a module's name.
///
/// No module name contains a slash or begins with a dot. Outside a workspace, any existing folder counts.
fn is_path(name: &str, in_workspace: bool) -> bool {
    name.contains('/') || name.starts_with('.') || (!in_workspace && Path::new(name).is_dir())
}

/// Returns the module crate in `folder`, and the folder for its blob.
fn crate_at(folder: &str) -> Result<(ModuleCrate, PathBuf)> {
    // The path of a manifest selects its crate.
    let path = Path::new(folder);
    let manifest = if path.ends_with("Cargo.toml") { path.to_owned() } else { path.join("Cargo.toml") };
    if !manifest.is_file() {
        let enclosing = path.canonicalize().ok();
        let enclosing =
            enclosing.as_deref().and_then(|path| path.ancestors().find(|folder| folder.join("Cargo.toml").is_file()));
        if let Some(enclosing) = enclosing {
            bail!("no Cargo.toml in {folder}; the crate around it is {}", enclosing.display());
        }
        bail!("no Cargo.toml in {folder}; `bareflow new --standalone {folder}` makes a module");
    }
    let module = module_at(&manifest)?;
    let blobs = module.target.join("modules");
    Ok((module, blobs))
}

fn list(blob: &Blob) {
    say!("{:<31} {:>8} {:>8}  {}", blob.name, blob.code_size, blob.bytes.len(), blob.path.display());
}

/// Prints the packer's warnings about a module that was built.
pub(crate) fn warn(blob: &Blob) {
    for warning in &blob.warnings {
        crate::complain!("warning: module {}: {warning}", blob.name);
    }
}

/// Warns about compiler flags in the environment that module builds ignore.
pub(crate) fn warn_of_flags() {
    for name in flags_set_aside() {
        crate::complain!(
            "warning: {name} is set aside: the same sources give the same module everywhere; write `rustflags = [..]` into \
             [package.metadata.bareflow]"
        );
    }
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

/// Returns a progress bar for the build.
pub(crate) fn progress(modules: usize) -> ProgressBar {
    let bar = progress_bar(Some(modules as u64), "{spinner} {pos}/{len} {wide_bar} {msg}");
    if !bar.is_hidden() {
        bar.enable_steady_tick(Duration::from_millis(100));
    }
    bar
}
