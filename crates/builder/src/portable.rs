//! Linking and packing of a portable module.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use bareflow_abi::portable::ENTRY_SYMBOL;
use bareflow_packer::wasm::Wasm;
use bareflow_packer::{pack_portable, portable_uses};

use crate::blob::{Blob, pack_settings, warnings};
use crate::compile::{Machine, build_folder, compile};
use crate::discover::ModuleCrate;
use crate::error::BuildError;
use crate::settings::CodegenOptions;
use crate::subprocess::{output, read, write_if_changed};
use crate::toolchain::{Flavor, linker};

/// The size of the stack in linear memory, in bytes, if the module does not ask for one: that of native modules.
const STACK_SIZE: u32 = 64 << 10;

/// Builds `module` as WebAssembly, by the first of the options, and writes it to `folder`.
pub(crate) fn build_portable(
    module: &ModuleCrate,
    options: &[CodegenOptions],
    folder: &Path,
) -> Result<Blob, BuildError> {
    let start = Instant::now();
    let Some(codegen) = options.first() else {
        return Err(module.wrong_settings("no options to build with".to_owned()));
    };
    // A profile is that of native code.
    let codegen = CodegenOptions { profile: None, ..codegen.clone() };
    let build = build_folder(module, Machine::Portable, &codegen);
    let library = compile(module, Machine::Portable, &codegen, &build, &[])?;
    let compile_time = start.elapsed();
    let settings = pack_settings(module, codegen.cpu_level)?;
    let linked = link(module, &library, settings.stack_size)?;
    let packed = pack_portable(&linked, &settings);
    let bytes = packed.map_err(|error| BuildError::Pack { krate: module.name.clone(), error, notes: Vec::new() })?;
    let path = folder.join(&module.name).with_extension("wasm");
    write_if_changed(&path, &bytes)?;
    let pack_time = start.elapsed().saturating_sub(compile_time);
    let code_size = Wasm::read(&bytes).map_or(0, |wasm| wasm.code_size());
    let warnings = warnings(module, portable_uses(&linked), &settings);
    Ok(Blob { name: module.name.clone(), path, bytes, code_size, compile_time, pack_time, warnings })
}

/// The number of links in this process so far.
static LINKS: AtomicU32 = AtomicU32::new(0);

/// Links the static library, and returns the file.
fn link(module: &ModuleCrate, library: &Path, stack_size: u32) -> Result<Vec<u8>, BuildError> {
    let folder = module.target.join("module-build/wasm");
    std::fs::create_dir_all(&folder).map_err(|error| BuildError::File {
        path: folder.clone(),
        action: "make",
        error,
    })?;
    // As with native modules, another build of the same one may be running.
    let name = format!("{}.{}.{}", module.name, std::process::id(), LINKS.fetch_add(1, Ordering::Relaxed));
    let linked = folder.join(&name);
    let stack = if stack_size == 0 { STACK_SIZE } else { stack_size.next_multiple_of(16) };
    let mut lld = linker(Flavor::Wasm)?;
    // The stack lies first, so that its overflow leaves the memory. An undefined symbol becomes an import, which the packer
    // finds and reports.
    lld.args(["--no-entry", "--gc-sections", "--stack-first", "--allow-undefined", "--strip-debug", "--no-demangle"]);
    lld.args(["-z", &format!("stack-size={stack}"), "-u", ENTRY_SYMBOL]);
    lld.arg(format!("--export-if-defined={ENTRY_SYMBOL}")).arg(library).arg("-o").arg(&linked);
    let said = output(&mut lld)?;
    if !said.status.success() {
        let _ = std::fs::remove_file(&linked);
        let output = String::from_utf8_lossy(&said.stderr).into_owned();
        return Err(BuildError::Link { krate: module.name.clone(), output });
    }
    let bytes = read(&linked)?;
    // The file is for debugging; which of several links it comes from does not matter.
    let _ = std::fs::rename(&linked, folder.join(&module.name).with_extension("wasm"));
    Ok(bytes)
}
