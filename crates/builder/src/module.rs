//! Compiling, linking and packing of one module crate.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use bareflow_abi::header::Header;
use bareflow_abi::layout::MAX_SEGMENT_SIZE;
use bareflow_packer::{Collection, PackError, Variant, collections, demangle, pack_variants, undefined_among, uses};

use crate::blob::{Blob, pack_settings, warnings};
use crate::compile::{Machine, build_folder, compile};
use crate::discover::ModuleCrate;
use crate::error::BuildError;
use crate::portable::build_portable;
use crate::settings::CodegenOptions;
use crate::subprocess::{output, read, write_if_changed};
use crate::toolchain::{Flavor, linker};

/// The linker script for modules.
const SCRIPT: &str = include_str!("../module.ld");

/// Builds `module` and writes its blob to `folder`.
///
/// # Errors
/// An error of the build; nothing is written then.
pub fn build_module(module: &ModuleCrate, folder: &Path) -> Result<Blob, BuildError> {
    build_with(module, &module.codegen_options()?, folder)
}

/// Builds `module` like [`build_module`], with other options than its own.
///
/// The first options are for the blob's base code; the others, for processors of higher levels, are for its variants.
///
/// # Errors
/// As [`build_module`].
pub fn build_with(module: &ModuleCrate, options: &[CodegenOptions], folder: &Path) -> Result<Blob, BuildError> {
    if module.settings.portable {
        return build_portable(module, options, folder);
    }
    let start = Instant::now();
    let libraries = options
        .iter()
        .map(|codegen| compile(module, Machine::Native, codegen, &build_folder(module, Machine::Native, codegen), &[]))
        .collect::<Result<Vec<_>, _>>()?;
    let compile_time = start.elapsed();
    let elves = libraries.iter().map(|library| link(module, library)).collect::<Result<Vec<_>, _>>()?;
    let variants = options.iter().zip(&elves).skip(1).map(|(codegen, elf)| Variant { level: codegen.cpu_level, elf });
    let variants: Vec<_> = variants.collect();
    let elf = elves.first().map(Vec::as_slice).unwrap_or_default();
    let settings = pack_settings(module, options.first().map_or(1, |codegen| codegen.cpu_level))?;
    let bytes = pack_variants(elf, &variants, &settings).map_err(|error| {
        let notes =
            if let PackError::UndefinedSymbols { .. } = error { who_needs(module, &libraries) } else { Vec::new() };
        BuildError::Pack { krate: module.name.clone(), error, notes }
    })?;
    let path = folder.join(&module.name).with_extension("mod");
    write_if_changed(&path, &bytes)?;
    let pack_time = start.elapsed().saturating_sub(compile_time);
    let warnings = warnings(module, uses(elf), &settings);
    let code_size = bytes.first_chunk().map_or(0, |header| Header::from_bytes(header).text_size as usize);
    Ok(Blob { name: module.name.clone(), path, bytes, code_size, compile_time, pack_time, warnings })
}

/// The number of links in this process so far.
static LINKS: AtomicU32 = AtomicU32::new(0);

/// The functions that `bareflow-abi` defines under other names, so that a module may define its own under these.
const MEMORY: [&str; 6] = ["memcpy", "memmove", "memset", "memcmp", "bcmp", "strlen"];

/// The link options that depend on the result of a first link.
#[derive(Default)]
struct Needs {
    /// The functions of [`MEMORY`] that are called but not defined.
    memory: Vec<&'static str>,
    /// The sections in which a program collects items from all of its parts.
    collections: Vec<Collection>,
}

/// Links the static library with the format's fixed distances, and returns the ELF file.
fn link(module: &ModuleCrate, library: &Path) -> Result<Vec<u8>, BuildError> {
    let first = link_with(module, library, &Needs::default())?;
    let needs = Needs { memory: undefined_among(&first, &MEMORY), collections: collections(&first) };
    if needs.memory.is_empty() && needs.collections.is_empty() { Ok(first) } else { link_with(module, library, &needs) }
}

fn link_with(module: &ModuleCrate, library: &Path, needs: &Needs) -> Result<Vec<u8>, BuildError> {
    // An undefined symbol stays in the symbol table, where the packer finds and reports it.
    let (said, elf) = run_linker(module, library, needs, "--unresolved-symbols=ignore-all")?;
    let krate = module.name.clone();
    match elf {
        Some(bytes) => Ok(bytes),
        None if said.contains("address range overlaps") => {
            let error = PackError::TooLarge { found: MAX_SEGMENT_SIZE + 1 };
            Err(BuildError::Pack { krate, error, notes: vec![said.trim_end().to_owned()] })
        }
        None => Err(BuildError::Link { krate, output: said }),
    }
}

/// Returns the linker script of a module with `collections`.
fn script(collections: &[Collection]) -> String {
    let entries = |writable: bool| {
        let mine = collections.iter().filter(|found| found.is_writable == writable);
        mine.map(|found| format!("{0} : {{ KEEP(*({0})) }}\n", found.name)).collect::<String>()
    };
    let script = SCRIPT.replace("/* collections to read */", &entries(false));
    script.replace("/* collections to write */", &entries(true))
}

/// Runs the linker. Returns its messages, and the file if there is one.
fn run_linker(
    module: &ModuleCrate,
    library: &Path,
    needs: &Needs,
    unresolved: &str,
) -> Result<(String, Option<Vec<u8>>), BuildError> {
    let folder = module.target.join("module-build/elf");
    // Another build of the same module may be running in this process or in another one, so each links to a file of its
    // own.
    let link = LINKS.fetch_add(1, Ordering::Relaxed);
    let name = format!("{}.{}.{link}", module.name, std::process::id());
    let (elf, layout) = (folder.join(&name), format!("{name}.ld"));
    write_if_changed(&folder.join(&layout), script(&needs.collections).as_bytes())?;
    // The linker runs in the folder, since it takes the file's path for a pattern in which `%` has a meaning.
    let mut lld = linker(Flavor::Elf)?;
    lld.current_dir(&folder);
    lld.args(["-pie", "--no-dynamic-linker", "--gc-sections", "-z", "norelro", "--build-id=none", "--strip-debug"]);
    // Without the option, a section is kept only because someone refers to its start and end.
    lld.args(["-z", "nostart-stop-gc", unresolved, "--no-warnings", "-u", "bareflow_entry", "-T", &layout]);
    lld.args(needs.memory.iter().map(|name| format!("--defsym={name}=bareflow_{name}")));
    lld.arg(library).arg("-o").arg(&name);
    let said = output(&mut lld);
    let _ = std::fs::remove_file(folder.join(&layout));
    let said = said?;
    let text = String::from_utf8_lossy(&said.stderr).into_owned();
    if !said.status.success() {
        let _ = std::fs::remove_file(&elf);
        return Ok((text, None));
    }
    let bytes = read(&elf)?;
    // The file is for debugging; which of several links it comes from does not matter.
    let _ = std::fs::rename(&elf, folder.join(&module.name).with_extension("elf"));
    Ok((text, Some(bytes)))
}

/// Returns the linker's notes on which functions need the undefined symbols.
fn who_needs(module: &ModuleCrate, libraries: &[PathBuf]) -> Vec<String> {
    let all = Needs { memory: MEMORY.to_vec(), ..Needs::default() };
    let Some(library) = libraries.first() else { return Vec::new() };
    let Ok((said, _)) = run_linker(module, library, &all, "--unresolved-symbols=report-all") else { return Vec::new() };
    let mut notes: Vec<String> = Vec::new();
    for line in said.lines() {
        if let Some((_, symbol)) = line.split_once("undefined symbol: ") {
            notes.push(format!("{symbol} is needed by"));
        } else if let (Some(inside), Some(last)) =
            (line.strip_prefix(">>>").and_then(|line| line.rsplit_once(":(")), notes.last_mut())
        {
            let function = inside.1.split(')').next().unwrap_or_default().trim_start_matches(".text.");
            let separator = if last.ends_with(" by") { " " } else { ", " };
            *last += &format!("{separator}{:#}", demangle(function));
        }
    }
    notes.retain(|note| !note.ends_with(" by"));
    notes
}
