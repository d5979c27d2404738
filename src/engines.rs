//! The engines: modules that compile portable modules. Commands that meet WebAssembly take them along.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use bareflow_builder::discover::{ModuleCrate, engines, has_engines};
use bareflow_builder::{BuildError, build_module};
use bareflow_loader::Timing;
use bareflow_loader::portable::engine::{Options, SPEED, WINDOW};
use bareflow_protocol::tier::Tier;
use bareflow_suite::load_defaults::LoadDefaults;
use bareflow_suite::portable::{COMPILER, INTERPRETER, name_of_file};

use crate::build_command::ENGINES;
use crate::input_files::{InputFiles, label, read_blob};
use crate::options::{EngineOptions, PortableOptions};
use crate::{in_process, workspace};

/// The memory of a machine with an engine in it, in MiB: an engine's heap, what it compiles, and all the rest.
pub(crate) const MEMORY_MEGABYTES: u32 = 1024;

/// The name and the blob of an engine.
pub(crate) type EngineBlob = (String, Vec<u8>);

/// Puts the engines before the files that need them: a portable module does, if no engine is among the files.
///
/// The sandbox trusts these alone: a file that exports the interface of engines is a module from anyone, as other files are.
///
/// # Errors
/// When there are none and none can be built.
pub(crate) fn go_along(mut files: InputFiles, options: &PortableOptions) -> Result<InputFiles> {
    if options.engines.folder.is_some() || (files.has_portable() && !files.has_engine()) {
        let engines = find(options)?;
        files.engines = engines.len();
        files.blobs.splice(0..0, engines);
    }
    Ok(files)
}

/// Returns the engines that `options` ask for.
///
/// # Errors
/// When there are none and none can be built.
pub(crate) fn find(options: &PortableOptions) -> Result<Vec<EngineBlob>> {
    find_for(&options.engines, options.portable().tier)
}

/// Returns the engines that modules of `tier` take, from the folder that `options` name, or else from that of a build.
///
/// # Errors
/// When there are none and none can be built.
pub(crate) fn find_for(options: &EngineOptions, tier: Tier) -> Result<Vec<EngineBlob>> {
    let folder = options.folder.as_deref();
    let built = if folder.is_none() { built()? } else { Vec::new() };
    let get = |name: &str| match folder {
        Some(folder) => read(&folder.join(name).with_extension("mod")),
        None => build(name, &built),
    };
    let found: Vec<_> = match tier {
        Tier::Interpreted => get(INTERPRETER)?.into_iter().collect(),
        Tier::Quick | Tier::Fast => get(COMPILER)?.into_iter().collect(),
        Tier::Auto => [get(INTERPRETER)?, get(COMPILER)?].into_iter().flatten().collect(),
    };
    if found.is_empty() {
        let (place, wanted) = (folder.map_or("the workspace `engines`".to_owned(), label), wanted(tier));
        bail!(
            "no engine in {place}, expected {wanted}; `bareflow build --engines` in a checkout of BareFlow makes them"
        );
    }
    Ok(found)
}

/// Returns whether an engine's blob is older than a source in the workspace of engines. What can't be read is not compared.
fn is_older(blob: &Path, workspace: &Path) -> bool {
    let modified = |path: &Path| std::fs::metadata(path).and_then(|found| found.modified()).ok();
    let entries = |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let Some(built) = modified(blob) else { return false };
    let mut rest: Vec<_> = entries(workspace).map(|member| member.join("src")).collect();
    while let Some(path) = rest.pop() {
        if path.is_dir() {
            rest.extend(entries(&path));
        } else if modified(&path).is_some_and(|changed| changed > built) {
            return true;
        }
    }
    false
}

/// Compiles a portable module in this process to fast code for any processor, for commands that work on one blob.
///
/// # Errors
/// When there is no compiler and none can be built, or it refuses the module.
pub(crate) fn compile(options: &EngineOptions, label: &str, wasm: &[u8]) -> Result<Vec<u8>> {
    let manager = in_process::manager(Timing::Fast, |_| (), None)?;
    let defaults = LoadDefaults::default();
    for (engine, blob) in find_for(options, Tier::Fast)? {
        manager.load_with(blob.as_slice(), &defaults.options(&blob)).map_err(|error| anyhow!("{engine}: {error}"))?;
    }
    let options = Options { optimization: SPEED, bounds: WINDOW, ..Options::DEFAULT };
    let compiled = manager.compile(COMPILER, &options, name_of_file(label), wasm);
    Ok(compiled.map_err(|error| anyhow!("{label}: {error}"))?.blob().to_vec())
}

fn wanted(tier: Tier) -> String {
    match tier {
        Tier::Interpreted => format!("{INTERPRETER}.mod"),
        Tier::Quick | Tier::Fast => format!("{COMPILER}.mod"),
        Tier::Auto => format!("{COMPILER}.mod or {INTERPRETER}.mod"),
    }
}

/// Reads an engine from a file, if there is one.
fn read(path: &Path) -> Result<Option<EngineBlob>> {
    if !path.is_file() {
        return Ok(None);
    }
    let bytes = read_blob(path).map_err(|error| anyhow!("{}: {error}", label(path)))?;
    Ok(Some((label(path), bytes)))
}

/// Returns the engines that a checkout of BareFlow has, each with the path of its blob.
fn built() -> Result<Vec<(ModuleCrate, PathBuf)>> {
    let missing = "a portable module (.wasm) needs an engine, and there is none to build here; \
         name the folder with compiler.mod or interpreter.mod by `--engines FOLDER` (`bareflow build --engines` in a \
         checkout of BareFlow makes them)";
    let manifest = workspace::workspace_manifest().ok().filter(|manifest| has_engines(manifest)).context(missing)?;
    let workspace = engines(&manifest)?;
    let path = |module: &ModuleCrate| workspace.target.join(ENGINES).join(&module.name).with_extension("mod");
    Ok(workspace.modules.iter().map(|module| (module.clone(), path(module))).collect())
}

/// Reads an engine that was built, or builds it.
fn build(name: &str, engines: &[(ModuleCrate, PathBuf)]) -> Result<Option<EngineBlob>> {
    let Some((module, path)) = engines.iter().find(|(module, _)| module.name == name) else { return Ok(None) };
    if let Some(found) = read(path)? {
        if is_older(path, &module.root) {
            crate::complain!("{} is older than its sources; `bareflow build --engines` builds it anew", label(path));
        }
        return Ok(Some(found));
    }
    crate::complain!("building the engine {name} for portable modules: this takes some minutes, the first time only");
    let folder = path.parent().unwrap_or(Path::new("."));
    let blob = build_module(module, folder).map_err(|error: BuildError| anyhow!("{error}"))?;
    Ok(Some((label(path), blob.bytes)))
}
