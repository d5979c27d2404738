//! Discovery of the module crates of a workspace.

use std::path::{Path, PathBuf};

use cargo_metadata::{Dependency, Metadata, MetadataCommand, Package, Target, TargetKind};

use crate::error::BuildError;
use crate::example::Example;
use crate::settings::{Checks, ModuleSettings};

/// A module crate.
#[derive(Clone, Debug)]
pub struct ModuleCrate {
    /// The name of the package, and of the module.
    pub name: String,
    /// The version: major, minor, patch.
    pub version: (u32, u32, u32),
    /// The path of the crate's `Cargo.toml`.
    pub manifest: PathBuf,
    /// The name of the crate's library, as the compiler spells it.
    pub library: String,
    /// The settings in the crate's `Cargo.toml`.
    pub settings: ModuleSettings,
    /// The target directory of the crate's workspace.
    pub target: PathBuf,
    /// The root of the crate's workspace.
    pub root: PathBuf,
    /// The folder of the `bareflow-abi` that the crate depends on, if that is a path dependency.
    pub abi: Option<PathBuf>,
    /// The folders of the crate's path dependencies; a change there affects the crate, too.
    pub beside: Vec<PathBuf>,
    /// Whether it is an engine, which is loaded within limits of its own.
    pub is_engine: bool,
    /// The checks to compile with, in addition to those that the crate's own files ask for.
    pub checks: Checks,
}

impl ModuleCrate {
    /// Whether the crate belongs to BareFlow's own checkout, whose lock file must not change.
    #[must_use]
    pub fn is_bareflows_own(&self) -> bool {
        [Some(self.root.as_path()), self.root.parent()].into_iter().flatten().any(is_bareflows_own)
    }

    /// Returns the calls that `bareflow test` makes.
    ///
    /// # Errors
    /// When the crate's settings can't be understood.
    pub fn examples(&self) -> Result<Vec<Example>, BuildError> {
        self.settings.examples(self.folder()).map_err(|reason| self.wrong_settings(reason))
    }

    /// Returns the error for settings that can't be used.
    pub(crate) fn wrong_settings(&self, reason: String) -> BuildError {
        BuildError::Settings { krate: self.name.clone(), reason }
    }

    /// Returns the folder of the crate's `Cargo.toml`.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.manifest.parent().unwrap_or(Path::new("."))
    }
}

/// A workspace with modules.
#[derive(Clone, Debug)]
pub struct Workspace {
    /// The workspace's root.
    pub root: PathBuf,
    /// The workspace's target directory.
    pub target: PathBuf,
    /// The crates below `modules/`: first the four that the C system loads, in its order, then the others by name.
    pub modules: Vec<ModuleCrate>,
}

/// Whether a folder is a checkout of BareFlow itself.
#[must_use]
pub fn is_bareflows_own(folder: &Path) -> bool {
    ["abi/src/fingerprint.rs", "crates/builder/module.ld", "kernel/Cargo.toml"]
        .iter()
        .all(|file| folder.join(file).is_file())
}

/// The order in which the C system loads its modules.
const FIRST: [&str; 4] = ["fibonacci", "sum", "compute", "primes"];

/// Finds the workspace that `manifest` belongs to, and its modules.
///
/// # Errors
/// When cargo can't read it, or a module's settings are wrong.
pub fn discover(manifest: &Path) -> Result<Workspace, BuildError> {
    let metadata = metadata(manifest)?;
    let root = metadata.workspace_root.clone().into_std_path_buf();
    let modules = modules_below(&root.join("modules"), &metadata)?;
    Ok(Workspace { target: metadata.target_directory.clone().into_std_path_buf(), root, modules })
}

/// Finds the modules of the gallery that belongs to the workspace of `manifest`: all packages of the workspace in
/// `examples/gallery/`, by name.
///
/// # Errors
/// When cargo can't read it, or a module's settings are wrong.
pub fn gallery(manifest: &Path) -> Result<Workspace, BuildError> {
    enclosed(manifest, GALLERY, |_| true)
}

/// Finds the drivers that belong to the workspace of `manifest`, and what runs on top of them: all packages of the workspace
/// in `drivers/`, by name.
///
/// # Errors
/// When cargo can't read it, or a module's settings are wrong.
pub fn drivers(manifest: &Path) -> Result<Workspace, BuildError> {
    enclosed(manifest, DRIVERS, |_| true)
}

/// Finds the engines that belong to the workspace of `manifest`: the packages of the workspace in `engines/` that have
/// settings of a module, by name. The others are what the engines are made of.
///
/// # Errors
/// When cargo can't read it, or a module's settings are wrong.
pub fn engines(manifest: &Path) -> Result<Workspace, BuildError> {
    let mut workspace = enclosed(manifest, ENGINES, |package| package.metadata.get("bareflow").is_some())?;
    workspace.modules.iter_mut().for_each(|module| module.is_engine = true);
    Ok(workspace)
}

/// The workspaces of the gallery, of the drivers and of the engines, in that of BareFlow.
const GALLERY: &str = "examples/gallery";
const DRIVERS: &str = "drivers";
const ENGINES: &str = "engines";

/// Returns whether there are engines to build in the workspace of `manifest`.
#[must_use]
pub fn has_engines(manifest: &Path) -> bool {
    manifest.with_file_name(ENGINES).join("Cargo.toml").is_file()
}

/// Finds the packages that `is_module` picks from a workspace that lies in that of `manifest`. They are built in the
/// target directory of the surrounding workspace.
fn enclosed(manifest: &Path, folder: &str, is_module: fn(&Package) -> bool) -> Result<Workspace, BuildError> {
    let enclosing = metadata(manifest)?;
    let metadata = metadata(enclosing.workspace_root.join(folder).join("Cargo.toml").as_std_path())?;
    let target = enclosing.target_directory.into_std_path_buf();
    let root = metadata.workspace_root.clone().into_std_path_buf();
    let below = |package: &Package| package.manifest_path.as_std_path().starts_with(&root) && is_module(package);
    let mut modules = modules_where(&metadata, below)?;
    modules.iter_mut().for_each(|module| module.target.clone_from(&target));
    Ok(Workspace { target, root, modules })
}

/// Finds the crates of a module's workspace that can be modules, itself among them: libraries that depend on
/// `bareflow-abi`, wherever they lie.
///
/// # Errors
/// When cargo can't read the workspace, or a module's settings are wrong.
pub fn around(module: &ModuleCrate) -> Result<Workspace, BuildError> {
    let metadata = metadata(&module.root.join("Cargo.toml"))?;
    let mut modules = modules_where(&metadata, |package| abi_of(package).is_some() && library_of(package).is_some())?;
    modules.iter_mut().for_each(|other| other.target.clone_from(&module.target));
    Ok(Workspace { target: module.target.clone(), root: module.root.clone(), modules })
}

/// Returns the modules of a workspace that lie below `folder`: first the four of the C system, then the others by name.
fn modules_below(folder: &Path, metadata: &Metadata) -> Result<Vec<ModuleCrate>, BuildError> {
    modules_where(metadata, |package| package.manifest_path.as_std_path().starts_with(folder))
}

fn modules_where(metadata: &Metadata, is_one: impl Fn(&Package) -> bool) -> Result<Vec<ModuleCrate>, BuildError> {
    let mut packages = metadata.workspace_packages();
    packages.retain(|package| is_one(package));
    let rank = |name: &str| FIRST.iter().position(|first| *first == name).unwrap_or(FIRST.len());
    packages.sort_by_key(|package| (rank(&package.name), package.name.clone()));
    packages.into_iter().map(|package| module_crate(package, metadata)).collect()
}

/// Finds the folders of all path dependencies of `module`, direct and indirect. Each is listed once, nearest first.
///
/// # Errors
/// When cargo can't read one of them.
pub fn all_beside(module: &ModuleCrate) -> Result<Vec<PathBuf>, BuildError> {
    let mut found = module.beside.clone();
    let mut next = 0;
    while let Some(folder) = found.get(next) {
        let manifest = folder.join("Cargo.toml");
        let metadata = metadata(&manifest)?;
        let is_it = |package: &&Package| is_same(package.manifest_path.as_std_path(), &manifest);
        let package = metadata.packages.iter().find(is_it);
        for path in package.into_iter().flat_map(paths_of) {
            if !found.contains(&path) {
                found.push(path);
            }
        }
        next += 1;
    }
    Ok(found)
}

/// Whether two paths lead to the same existing file.
fn is_same(one: &Path, other: &Path) -> bool {
    one.canonicalize().is_ok_and(|one| other.canonicalize().is_ok_and(|other| one == other))
}

/// Returns the folders of a package's path dependencies.
fn paths_of(package: &Package) -> impl Iterator<Item = PathBuf> {
    package.dependencies.iter().filter_map(|dependency| dependency.path.clone()).map(Into::into)
}

/// Returns the module crate whose `Cargo.toml` is `manifest`, wherever it lies.
///
/// # Errors
/// When cargo can't read it, or its settings are wrong.
pub fn module_at(manifest: &Path) -> Result<ModuleCrate, BuildError> {
    let metadata = metadata(manifest)?;
    let manifest = manifest.canonicalize().map_err(|error| BuildError::File {
        path: manifest.to_owned(),
        action: "find",
        error,
    })?;
    // Cargo reports the path that it took, with symbolic links in it.
    let is_it =
        |package: &&Package| package.manifest_path.as_std_path().canonicalize().is_ok_and(|path| path == manifest);
    let package = metadata.packages.iter().find(is_it);
    let missing = || BuildError::Metadata { reason: format!("{} has no package", manifest.display()) };
    module_crate(package.ok_or_else(missing)?, &metadata)
}

fn metadata(manifest: &Path) -> Result<Metadata, BuildError> {
    let mut command = MetadataCommand::new();
    command.manifest_path(manifest).no_deps();
    for name in ["RUSTFLAGS", "RUSTC", "RUSTC_WORKSPACE_WRAPPER", "CARGO_BUILD_TARGET"] {
        command.env_remove(name);
    }
    command.exec().map_err(|error| BuildError::Metadata { reason: error.to_string() })
}

/// The kinds of libraries that a module can be. It is compiled as a static library, whatever the crate says.
const LIBRARIES: [TargetKind; 5] =
    [TargetKind::Lib, TargetKind::RLib, TargetKind::CDyLib, TargetKind::DyLib, TargetKind::StaticLib];

fn library_of(package: &Package) -> Option<&Target> {
    package.targets.iter().find(|target| target.kind.iter().any(|kind| LIBRARIES.contains(kind)))
}

fn abi_of(package: &Package) -> Option<&Dependency> {
    package.dependencies.iter().find(|dependency| dependency.name == "bareflow-abi")
}

fn module_crate(package: &Package, metadata: &Metadata) -> Result<ModuleCrate, BuildError> {
    let name = package.name.to_string();
    let wrong = |reason: String| BuildError::Manifest { krate: name.clone(), reason };
    let library = library_of(package).ok_or_else(|| wrong("no library, expected a src/lib.rs".to_owned()))?;
    let beside = paths_of(package).collect();
    let version = &package.version;
    if !version.pre.is_empty() || !version.build.is_empty() {
        return Err(wrong(format!(
            "version = \"{version}\", expected three numbers: modules have no pre-releases and no build metadata, and \
             would be taken for {}.{}.{}",
            version.major, version.minor, version.patch
        )));
    }
    let part = |part: u64| {
        let too_large =
            |_| wrong(format!("version = \"{version}\": {part} is too large, expected at most {}", u32::MAX));
        u32::try_from(part).map_err(too_large)
    };
    Ok(ModuleCrate {
        library: library.name.replace('-', "_"),
        version: (part(version.major)?, part(version.minor)?, part(version.patch)?),
        manifest: package.manifest_path.clone().into_std_path_buf(),
        settings: ModuleSettings::read(&name, &package.metadata)?,
        target: metadata.target_directory.clone().into_std_path_buf(),
        root: metadata.workspace_root.clone().into_std_path_buf(),
        abi: abi_of(package).and_then(|abi| abi.path.clone()).map(Into::into),
        beside,
        is_engine: false,
        checks: Checks::default(),
        name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn finds_what_lies_beside_what_lies_beside() {
        let place = tempfile::tempdir().unwrap();
        let place = place.path().canonicalize().unwrap();
        // The last two depend on each other in a way that cargo allows: for tests.
        let crates = [
            ("own", "[dependencies]\nnear = { path = \"../near\" }"),
            ("near", "[dependencies]\nfar = { path = \"../far\" }"),
            ("far", "[dev-dependencies]\nnear = { path = \"../near\" }"),
        ];
        for (name, dependencies) in crates {
            fs::create_dir_all(place.join(name).join("src")).unwrap();
            fs::write(place.join(name).join("src/lib.rs"), "").unwrap();
            let manifest = format!(
                "[package]\nname = \"{name}\"\nversion = \"1.0.0\"\nedition = \"2024\"\n{dependencies}\n[workspace]\n"
            );
            fs::write(place.join(name).join("Cargo.toml"), manifest).unwrap();
        }
        let own = module_at(&place.join("own/Cargo.toml")).unwrap();
        assert_eq!(own.beside, [place.join("near")]);
        assert_eq!(all_beside(&own).unwrap(), ["near", "far"].map(|name| place.join(name)));
        fs::write(place.join("near/Cargo.toml"), "[package").unwrap();
        assert!(all_beside(&own).unwrap_err().to_string().contains("near"));
    }
}
