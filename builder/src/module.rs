//! Compiles, links and packs one module crate.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bareflow_abi::checksum::crc32c;
use bareflow_packer::{Settings, Variant, pack_variants};

use crate::discover::ModuleCrate;
use crate::error::BuildError;
use crate::run::{command, output, read, write_if_changed};
use crate::settings::Recipe;
use crate::toolchain::{MODULE_TARGET, linker, module_cargo};

/// The linker script of every module.
const SCRIPT: &str = include_str!("../module.ld");

/// Flags of the compiler that make code a kernel can call: no red zone (an
/// interrupt would overwrite it), and addresses relative to the code.
const RUSTFLAGS: [&str; 5] = [
    "-Cno-redzone=yes",
    "-Crelocation-model=pic",
    "-Cpanic=abort",
    "--cfg=bareflow_module",
    "--check-cfg=cfg(bareflow_module)",
];

/// Settings of cargo's release profile: everything in one unit, nothing for a debugger.
const PROFILE: [(&str, &str); 8] = [
    ("LTO", "fat"),
    ("CODEGEN_UNITS", "1"),
    ("PANIC", "abort"),
    ("DEBUG", "0"),
    ("STRIP", "none"),
    ("DEBUG_ASSERTIONS", "false"),
    ("OVERFLOW_CHECKS", "false"),
    ("INCREMENTAL", "false"),
];

/// A packed module.
#[derive(Clone, Debug)]
pub struct Blob {
    /// The module's name.
    pub name: String,
    /// Where the blob lies.
    pub path: PathBuf,
    /// The blob.
    pub bytes: Vec<u8>,
    /// What the compiler took.
    pub compile_time: Duration,
    /// What linking and packing took.
    pub pack_time: Duration,
}

/// Builds `module` and writes its blob to `folder`.
///
/// # Errors
/// What stopped the build; nothing is written then.
pub fn build_module(module: &ModuleCrate, folder: &Path) -> Result<Blob, BuildError> {
    build_recipes(module, &module.recipes()?, folder)
}

/// The same by other recipes than the module's own; the first one's code is the blob's, those behind it,
/// for processors of higher levels, are its variants.
///
/// # Errors
/// As [`build_module`].
pub fn build_recipes(module: &ModuleCrate, recipes: &[Recipe], folder: &Path) -> Result<Blob, BuildError> {
    let start = Instant::now();
    let libraries = recipes
        .iter()
        .map(|recipe| compile(module, recipe, &build_folder(module, recipe), &[]))
        .collect::<Result<Vec<_>, _>>()?;
    let compile_time = start.elapsed();
    let elves = libraries.iter().map(|library| link(module, library)).collect::<Result<Vec<_>, _>>()?;
    let variants = recipes.iter().zip(&elves).skip(1).map(|(recipe, elf)| Variant { level: recipe.cpu_level, elf });
    let variants: Vec<_> = variants.collect();
    let elf = elves.first().map(Vec::as_slice).unwrap_or_default();
    let settings = pack_settings(module, recipes.first().map_or(1, |recipe| recipe.cpu_level))?;
    let bytes = pack_variants(elf, &variants, &settings)
        .map_err(|error| BuildError::Pack { krate: module.name.clone(), error })?;
    let path = folder.join(&module.name).with_extension("mod");
    write_if_changed(&path, &bytes)?;
    let pack_time = start.elapsed().saturating_sub(compile_time);
    Ok(Blob { name: module.name.clone(), path, bytes, compile_time, pack_time })
}

/// Where a recipe's build lies: each level has a folder of its own, so that what one needs is not compiled over
/// for the other.
fn build_folder(module: &ModuleCrate, recipe: &Recipe) -> PathBuf {
    let folder = module.target.join("module-build");
    if recipe.cpu_level == 1 { folder } else { folder.join(format!("v{}", recipe.cpu_level)) }
}

/// Compiles the crate and all it depends on into one archive of objects, in the folder `build` and with `more` flags.
pub(crate) fn compile(
    module: &ModuleCrate,
    recipe: &Recipe,
    build: &Path,
    more: &[&str],
) -> Result<PathBuf, BuildError> {
    let processor = match recipe.cpu_level {
        1 => "-Ctarget-cpu=x86-64".to_owned(),
        level => format!("-Ctarget-cpu=x86-64-v{level}"),
    };
    let mut cargo = module_cargo()?;
    cargo.args(["rustc", "--lib", "--crate-type", "staticlib", "--release", "--target", MODULE_TARGET]);
    cargo.arg("--manifest-path").arg(&module.manifest).arg("--target-dir").arg(build);
    // A crate that is alone belongs to its author, who may just have named another dependency.
    if module.root != module.folder() && module.root.join("Cargo.lock").is_file() {
        cargo.arg("--locked");
    }
    // Paths in panic messages are the same on every machine.
    let remap = format!("--remap-path-prefix={}=.", module.root.display());
    let registry = std::env::var("CARGO_HOME").or_else(|_| std::env::var("HOME").map(|home| format!("{home}/.cargo")));
    let remap_registry = registry.map(|home| format!("--remap-path-prefix={home}/registry/src=registry"));
    let profile = recipe.profile.as_ref().map(|file| named_by_content(file, module)).transpose()?;
    let profile = profile.map(|file| format!("-Cprofile-use={}", file.display()));
    let flags = RUSTFLAGS.into_iter().chain([processor.as_str(), remap.as_str()]);
    let flags: Vec<_> =
        flags.chain(remap_registry.as_deref().ok()).chain(profile.as_deref()).chain(more.iter().copied()).collect();
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
    for (key, value) in PROFILE {
        cargo.env(format!("CARGO_PROFILE_RELEASE_{key}"), value);
    }
    cargo.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", &recipe.opt_level);
    let said = output(&mut cargo)?;
    if !said.status.success() {
        let output = String::from_utf8_lossy(&said.stderr).into_owned();
        return Err(BuildError::Compile { krate: module.name.clone(), output });
    }
    Ok(build.join(MODULE_TARGET).join("release").join(format!("lib{}.a", module.library)))
}

/// A copy of a profile whose name changes with its content: cargo compiles anew when a path changes, not a file.
fn named_by_content(file: &Path, module: &ModuleCrate) -> Result<PathBuf, BuildError> {
    let bytes = read(file)?;
    let copy = module.target.join(format!("module-build/profiles/{:08x}.profdata", crc32c(&[&bytes])));
    write_if_changed(&copy, &bytes)?;
    Ok(copy)
}

/// Links of this process so far.
static LINKS: AtomicU32 = AtomicU32::new(0);

/// Links the archive at the format's fixed distances and returns the ELF file.
fn link(module: &ModuleCrate, library: &Path) -> Result<Vec<u8>, BuildError> {
    let folder = module.target.join("module-build/elf");
    let script = folder.join("module.ld");
    write_if_changed(&script, SCRIPT.as_bytes())?;
    // Another build of the same module may be under way, in this process or in another one: each links to a file of its own.
    let link = LINKS.fetch_add(1, Ordering::Relaxed);
    let elf = folder.join(format!("{}.{}.{link}", module.name, std::process::id()));
    let mut lld = command(linker()?);
    if lld.get_program().to_string_lossy().ends_with("rust-lld") {
        lld.args(["-flavor", "gnu"]);
    }
    lld.args(["-pie", "--no-dynamic-linker", "--gc-sections", "-z", "norelro", "--build-id=none", "--strip-debug"]);
    // An undefined symbol stays in the symbol table, where the packer finds and names it.
    lld.args(["--unresolved-symbols=ignore-all", "--no-warnings", "-u", "bareflow_entry", "-T"]).arg(&script);
    lld.arg(library).arg("-o").arg(&elf);
    let said = output(&mut lld)?;
    if said.status.success() {
        let bytes = read(&elf)?;
        // For people with a debugger; whose file it is does not matter.
        let _ = std::fs::rename(&elf, folder.join(&module.name).with_extension("elf"));
        return Ok(bytes);
    }
    let output = String::from_utf8_lossy(&said.stderr).into_owned();
    Err(BuildError::Link { krate: module.name.clone(), output })
}

fn pack_settings(module: &ModuleCrate, cpu_level: u8) -> Result<Settings, BuildError> {
    let wrong = |reason| BuildError::Settings { krate: module.name.clone(), reason };
    let part = |value: u64| {
        u32::try_from(value)
            .map_err(|_| wrong(format!("version part {value} is too large, expected at most {}", u32::MAX)))
    };
    let (major, minor, patch) = module.version;
    let settings = &module.settings;
    Ok(Settings {
        name: module.name.clone(),
        version: (part(major)?, part(minor)?, part(patch)?),
        services: settings.services().map_err(wrong)?,
        stack_size: settings.stack_size().map_err(wrong)?,
        heap_size: settings.heap_size().map_err(wrong)?,
        time_us: settings.time_us().map_err(wrong)?,
        cpu_level,
        expect: settings.expect,
        depends: settings.depends().map_err(wrong)?,
        strip: settings.strip,
    })
}
