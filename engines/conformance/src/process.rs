//! This process as a place: an engine as a library, and the loader.

use anyhow::{Context, Result, anyhow, bail};
use bareflow_host::HostPlatform;
use bareflow_loader::{
    Budget, ExecuteError, FaultKind, KernelDomain, LoadError, LoadOptions, ModuleId, ModuleManager, Timing,
};

use crate::engine::Engine;
use crate::place::{Place, Refusal};

/// The options of each load.
pub const OPTIONS: LoadOptions =
    LoadOptions { limits: Budget { data_bytes: 256 << 20, ..Budget::LIMITS }, ..LoadOptions::DEFAULT };

/// This process, with an engine.
pub struct Process<'engine> {
    engine: &'engine dyn Engine,
    manager: ModuleManager<HostPlatform>,
    blob: Vec<u8>,
    loaded: Option<ModuleId>,
}

/// Makes a manager that trusts what it loads.
pub fn manager() -> Result<ModuleManager<HostPlatform>> {
    let platform = HostPlatform::new(Box::new(|_| {}))?;
    // SAFETY: the blobs are the engine's, which is what is tested here; a defect of it may end this process.
    let trusted = unsafe { KernelDomain::trust_all_blobs() };
    Ok(ModuleManager::with_kernel_domain(platform, Timing::Fast, trusted))
}

impl Process<'_> {
    /// Makes the place.
    pub fn new(engine: &dyn Engine) -> Result<Process<'_>> {
        Ok(Process { engine, manager: manager()?, blob: Vec::new(), loaded: None })
    }

    fn load_blob(&mut self) -> Result<ModuleId, Refusal> {
        match self.manager.load_with(&self.blob, &OPTIONS) {
            Ok(id) => {
                self.loaded = Some(id);
                Ok(id)
            }
            Err(LoadError::InitFaulted(fault)) => Err(Refusal::Trapped(fault.kind)),
            Err(error) => Err(Refusal::Error(anyhow!("{error}"))),
        }
    }
}

impl Place for Process<'_> {
    fn load(&mut self, wasm: &[u8]) -> Result<(), Refusal> {
        self.blob = self.engine.compile(wasm)?;
        self.load_blob().map(|_| ())
    }

    fn run(&mut self, length: usize) -> Result<Result<i32, FaultKind>> {
        let id = match self.loaded {
            Some(id) => id,
            None => self.load_blob().map_err(|refusal| anyhow!("a fresh instance: {refusal:?}"))?,
        };
        match self.manager.execute_with(id, &vec![0; length], &mut []) {
            Ok(done) => Ok(Ok(done.result)),
            Err(ExecuteError::Faulted(fault)) => {
                self.unload()?;
                Ok(Err(fault.kind))
            }
            Err(error) => bail!("{error}"),
        }
    }

    fn unload(&mut self) -> Result<()> {
        if let Some(id) = self.loaded.take() {
            // What faulted is unloaded without being called.
            self.manager.unload(id).map(|_| ()).map_err(|error| anyhow!("{error}")).context("the module stays")?;
        }
        Ok(())
    }

    fn refuses(&mut self, wasm: &[u8]) -> Result<bool> {
        Ok(self.engine.validate(wasm).is_err())
    }
}
