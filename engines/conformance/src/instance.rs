//! An instance: a test's module as a blob, loaded into this process.
//!
//! A trap ends an image. The instance that goes on afterwards is a fresh image in which the calls before it, those that
//! returned, were made again; what a call did before it trapped is lost.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use anyhow::{Context, Result, anyhow, bail};
use bareflow_host::HostPlatform;
use bareflow_loader::{
    Budget, ExecuteError, FaultKind, KernelDomain, LoadError, LoadOptions, ModuleId, ModuleManager, Timing,
};

use crate::dispatcher::{Dispatched, Export, dispatch};
use crate::engine::Engine;

thread_local! {
    /// The values that modules read from their clock.
    static NUMBERS: RefCell<VecDeque<u64>> = const { RefCell::new(VecDeque::new()) };
}

/// The options of each load.
const OPTIONS: LoadOptions =
    LoadOptions { limits: Budget { data_bytes: 256 << 20, ..Budget::LIMITS }, ..LoadOptions::DEFAULT };

/// Where instances run.
pub struct Host {
    manager: ModuleManager<HostPlatform>,
    /// The number of instances so far, from which each gets a name of its own.
    count: Cell<u32>,
}

/// The end of a call.
#[derive(Debug)]
pub enum End {
    /// The results' bits.
    Returned(Vec<u64>),
    /// The kind of the fault.
    Trapped(FaultKind),
}

/// An instance.
pub struct Instance {
    blob: Vec<u8>,
    dispatched: Dispatched,
    loaded: Option<ModuleId>,
    /// The calls that returned: the numbers that they read.
    history: Vec<Vec<u64>>,
}

/// The reason for which there is no instance.
#[derive(Debug)]
pub enum Refusal {
    /// The module was not compiled, or not loaded.
    Error(anyhow::Error),
    /// Making the instance ended in a trap.
    Trapped(FaultKind),
}

impl<E: Into<anyhow::Error>> From<E> for Refusal {
    fn from(error: E) -> Refusal {
        Refusal::Error(error.into())
    }
}

impl Host {
    /// Makes the platform.
    pub fn new() -> Result<Host> {
        let clock = Box::new(|| NUMBERS.with_borrow_mut(VecDeque::pop_front).unwrap_or(u64::MAX));
        let platform = HostPlatform::with_clock(Box::new(|_| {}), clock)?;
        // SAFETY: the blobs are the engine's, which is what is tested here; a defect of it may end this process.
        let trusted = unsafe { KernelDomain::trust_all_blobs() };
        Ok(Host { manager: ModuleManager::with_kernel_domain(platform, Timing::Fast, trusted), count: Cell::new(0) })
    }

    /// Compiles a module and makes an instance.
    pub fn instantiate(&self, engine: &dyn Engine, wasm: &[u8]) -> Result<Instance, Refusal> {
        let number = self.count.replace(self.count.get() + 1);
        let dispatched = dispatch(wasm, &format!("test-{number}"))?;
        let blob = engine.compile(&dispatched.wasm)?;
        let mut instance = Instance { blob, dispatched, loaded: None, history: Vec::new() };
        instance.load(self)?;
        Ok(instance)
    }

    /// Loads a blob.
    #[cfg(feature = "peer")]
    pub fn load(&self, blob: &[u8]) -> Result<ModuleId> {
        Ok(self.manager.load_with(blob, &OPTIONS)?)
    }

    /// Runs a loaded blob.
    #[cfg(feature = "peer")]
    pub fn run(&self, id: ModuleId) -> Result<i32> {
        Ok(self.manager.execute(id)?)
    }

    /// Unloads a blob.
    #[cfg(feature = "peer")]
    pub fn unload_blob(&self, id: ModuleId) {
        let _ = self.manager.unload(id);
    }

    fn read(&self, id: ModuleId, numbers: &[u64]) -> Result<i32, ExecuteError> {
        NUMBERS.with_borrow_mut(|queue| {
            queue.clear();
            queue.extend(numbers);
        });
        self.manager.execute(id)
    }

    /// Unloads an instance. It can be used again.
    pub fn unload(&self, instance: &mut Instance) {
        if let Some(id) = instance.loaded.take() {
            // What faulted is unloaded without being called.
            let _ = self.manager.unload(id);
        }
    }
}

impl Instance {
    fn load(&mut self, host: &Host) -> Result<ModuleId, Refusal> {
        let id = match host.manager.load_with(&self.blob, &OPTIONS) {
            Ok(id) => id,
            Err(LoadError::InitFaulted(fault)) => return Err(Refusal::Trapped(fault.kind)),
            Err(error) => return Err(Refusal::Error(anyhow!("{error}"))),
        };
        self.loaded = Some(id);
        for numbers in &self.history {
            host.read(id, numbers).map_err(|error| anyhow!("a call that had returned ended otherwise: {error}"))?;
        }
        Ok(id)
    }

    /// Iterates over the exports.
    #[cfg(feature = "peer")]
    pub fn exports(&self) -> impl Iterator<Item = (&String, &Export)> {
        self.dispatched.exports.iter()
    }

    /// Returns an export.
    pub fn export(&self, name: &str) -> Result<&Export> {
        self.dispatched.exports.get(name).with_context(|| format!("there is no export {name:?}"))
    }

    /// Calls an exported function, or reads an exported global.
    pub fn call(&mut self, host: &Host, name: &str, arguments: &[u64]) -> Result<End> {
        let export = self.export(name)?.clone();
        if export.parameters.len() != arguments.len() {
            bail!("{name:?} takes {} arguments", export.parameters.len());
        }
        let id = match self.loaded {
            Some(id) => id,
            None => self.load(host).map_err(|refusal| anyhow!("{refusal:?}"))?,
        };
        let numbers: Vec<u64> = [u64::from(export.number)].into_iter().chain(arguments.iter().copied()).collect();
        match host.read(id, &numbers) {
            Ok(_) => {}
            Err(ExecuteError::Faulted(fault)) => {
                host.unload(self);
                return Ok(End::Trapped(fault.kind));
            }
            Err(error) => bail!("{error}"),
        }
        if self.dispatched.has_state {
            self.history.push(numbers);
        }
        let mut results = Vec::new();
        for result in 0..export.results.len() as u32 {
            let place = self.dispatched.results + 2 * result;
            let low = host.read(id, &[place.into()]).map_err(|error| anyhow!("{error}"))?;
            let high = host.read(id, &[(place + 1).into()]).map_err(|error| anyhow!("{error}"))?;
            results.push(u64::from(low.cast_unsigned()) | u64::from(high.cast_unsigned()) << 32);
        }
        Ok(End::Returned(results))
    }
}
