//! Explanations of module errors on one line, for commands that call modules in their own process.

use bareflow_host::HostPlatform;
use bareflow_loader::{ExecuteError, LoadError, LoadOptions, ModuleId, ModuleManager};

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
