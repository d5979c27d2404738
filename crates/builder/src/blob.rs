//! The result of a build, and what the packing of native and portable modules has in common.

use std::path::PathBuf;
use std::time::Duration;

use bareflow_abi::header::{SERVICE_CALL, SERVICE_NAMES};
use bareflow_packer::{Settings, Uses};

use crate::discover::ModuleCrate;
use crate::error::BuildError;

/// A packed module.
#[derive(Clone, Debug)]
pub struct Blob {
    /// The module's name.
    pub name: String,
    /// The path of the blob's file: `.mod`, or `.wasm` of a portable module.
    pub path: PathBuf,
    /// The blob's bytes.
    pub bytes: Vec<u8>,
    /// The size of the code in it, in bytes.
    pub code_size: usize,
    /// The time that the compiler took.
    pub compile_time: Duration,
    /// The time that linking and packing took.
    pub pack_time: Duration,
    /// Warnings to the module's author.
    pub warnings: Vec<String>,
}

/// Returns the warnings to the module's author.
pub(crate) fn warnings(module: &ModuleCrate, uses: Uses, settings: &Settings) -> Vec<String> {
    let mut warnings = module.settings.doubts(module.is_engine);
    if uses.heap && settings.heap_size == 0 {
        warnings
            .push("it allocates and declares no heap: set heap = \"64K\" in [package.metadata.bareflow]".to_owned());
    }
    let missing = uses.services & !settings.services;
    let wanted = (missing | settings.services) & !SERVICE_CALL;
    let needs = SERVICE_NAMES.iter().filter(|(bit, _)| wanted & bit != 0);
    let needs: Vec<_> = needs.map(|(_, name)| format!("\"{name}\"")).collect();
    for (bit, name) in SERVICE_NAMES.iter().filter(|(bit, _)| missing & bit != 0) {
        warnings.push(match *bit {
            SERVICE_CALL if !settings.depends.is_empty() => continue,
            SERVICE_CALL => "it calls other modules and declares none: set depends = { NAME = \"VERSION\" } in [package.metadata.bareflow]".to_owned(),
            _ => format!("it calls {name} and does not declare it: set needs = [{}] in [package.metadata.bareflow]", needs.join(", ")),
        });
    }
    let lock = std::fs::read_to_string(module.root.join("Cargo.lock")).unwrap_or_default();
    if module.root == module.folder() && lock.contains("name = \"const-random\"") {
        warnings.push(
            "const-random draws numbers while it is compiled: the blob has other bytes after each clean build, unless the \
             variable CONST_RANDOM_SEED is set"
                .to_owned(),
        );
    }
    warnings
}

pub(crate) fn pack_settings(module: &ModuleCrate, cpu_level: u8) -> Result<Settings, BuildError> {
    let wrong = |reason| module.wrong_settings(reason);
    let settings = &module.settings;
    Ok(Settings {
        name: module.name.clone(),
        version: module.version,
        services: settings.services().map_err(wrong)?,
        stack_size: settings.stack_size().map_err(wrong)?,
        heap_size: settings.heap_size().map_err(wrong)?,
        time_us: settings.time_us().map_err(wrong)?,
        cpu_level,
        expect: settings.expect,
        depends: settings.depends().map_err(wrong)?,
        bind: settings.bind().map_err(wrong)?,
        devices: settings.devices.clone(),
        strip: settings.strip,
    })
}
