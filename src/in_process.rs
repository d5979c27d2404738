//! The manager of modules in this process, and explanations of their errors on one line.

#![expect(unsafe_code, reason = "states who is responsible for the blobs that are run")]

use std::path::Path;

use anyhow::{Result, anyhow};
use bareflow_abi::interface::Interface;
use bareflow_host::{FolderStore, HostPlatform, SystemRandom};
use bareflow_loader::portable::Sandbox;
use bareflow_loader::{ExecuteError, KernelDomain, LoadError, LoadOptions, ModuleId, ModuleManager, Timing};
use bareflow_random::Random;
use bareflow_store::Store;

/// Returns the permission for blobs that the user of a command names, or that were built here.
pub const fn kernel_domain() -> KernelDomain {
    // SAFETY: whoever runs a blob by a command vouches for it, as for a program that is started. `--domain user` runs
    // one that is not trusted.
    unsafe { KernelDomain::trust_all_blobs() }
}

/// Returns the sandbox for what these engines compile.
pub(crate) fn sandbox(engines: &[(String, Vec<u8>)], guard: bool) -> Sandbox {
    // SAFETY: as for the kernel domain: whoever names an engine as such vouches for it.
    unsafe { Sandbox::trust(engines.iter().map(|(_, bytes)| &bytes[..])) }.with_guard(guard)
}

/// The interfaces that this process and the kernel provide to modules.
pub(crate) const PROVIDED: [&str; 2] = [<dyn Random as Interface>::NAME, <dyn Store as Interface>::NAME];

/// Returns a manager of modules in this process, whose log lines are given to `log`. What they store is in the folder
/// `store`, if there is one.
pub fn manager(
    timing: Timing,
    log: fn(std::fmt::Arguments<'_>),
    store: Option<&Path>,
) -> Result<ModuleManager<HostPlatform>> {
    let platform =
        HostPlatform::new(Box::new(log)).map_err(|error| anyhow!("can't prepare this process for modules: {error}"))?;
    let manager = ModuleManager::with_kernel_domain(platform, timing, kernel_domain());
    manager.provide::<dyn Random, _>("kernel", SystemRandom)?;
    manager.provide::<dyn Store, _>("kernel", FolderStore::new(store.map(Path::to_owned)))?;
    Ok(manager)
}

/// Returns why a load was refused, with the diagnosis if it faulted.
pub fn load_error(
    manager: &ModuleManager<HostPlatform>,
    blob: &[u8],
    options: &LoadOptions,
    error: &LoadError,
) -> String {
    manager.load_fault(blob, options, error).map_or_else(|| error.to_string(), |fault| fault.to_string())
}

/// Returns why a call failed, with the diagnosis if it faulted.
pub fn call_error(manager: &ModuleManager<HostPlatform>, id: ModuleId, error: &ExecuteError) -> String {
    let (ExecuteError::Faulted(fault), Some(profile)) = (error, manager.stats(id)) else { return error.to_string() };
    let diagnosis = manager.take_diagnosis(id);
    format!("faulted: {}", profile.explain(fault, diagnosis.as_ref()))
}
