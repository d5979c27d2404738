//! A process that runs what the engine makes.

#![allow(dead_code, reason = "each test uses what it needs")]

use std::path::Path;
use std::sync::OnceLock;

use bareflow_abi::header::{FORMAT_VERSION, Header, MAGIC};
use bareflow_builder::build_module;
use bareflow_builder::discover::module_at;
use bareflow_engine::{CHECKED, Options, WINDOW};
use bareflow_host::HostPlatform;
use bareflow_interpreter::compile;
use bareflow_loader::{
    Budget, Domain, ExecuteError, FaultKind, KernelDomain, LoadError, LoadOptions, ModuleId, ModuleManager, Timing,
};
use bareflow_portable::description::{SECTION, push_record};
use wasm_encoder::Section;

/// A module that is loaded in a process of its own manager.
pub struct Running {
    pub manager: ModuleManager<HostPlatform>,
    pub id: ModuleId,
}

/// Returns a module in WebAssembly's text format as bytes.
pub fn wasm(wat: &str) -> Vec<u8> {
    wat::parse_str(wat).unwrap()
}

/// Returns options with so many pages of memory, in a window.
pub fn options_in(maximum_pages: u32) -> Options {
    Options { maximum_pages, bounds: WINDOW, spectre_guard: 0, ..Options::DEFAULT }
}

/// Returns the blob of a module in WebAssembly's text format.
pub fn blob(wat: &str) -> Vec<u8> {
    compile(&options_in(256), "test", &wasm(wat)).unwrap()
}

/// Returns two of them: its memory lies in a window, and in the data.
pub fn blobs(wat: &str) -> [Vec<u8>; 2] {
    [WINDOW, CHECKED].map(|bounds| compile(&Options { bounds, ..options_in(256) }, "test", &wasm(wat)).unwrap())
}

/// Returns the blob of the engine itself.
pub fn engine() -> &'static [u8] {
    static ENGINE: OnceLock<Vec<u8>> = OnceLock::new();
    ENGINE.get_or_init(|| {
        let module = module_at(&Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
        build_module(&module, &module.target.join("engines")).unwrap().bytes
    })
}

/// Returns a manager with the engine, in a process of its own.
pub fn process_with_engine() -> ModuleManager<HostPlatform> {
    let manager = manager();
    let limits = Budget { heap_bytes: 64 << 20, ..Budget::LIMITS };
    let options = LoadOptions { domain: Domain::User, limits, ..LoadOptions::default() };
    manager.load_with(engine(), &options).unwrap();
    manager
}

/// Returns an empty manager.
pub fn manager() -> ModuleManager<HostPlatform> {
    let platform = HostPlatform::new(Box::new(|line| println!("log: {line}"))).unwrap();
    // SAFETY: the blobs were made here.
    let trusted = unsafe { KernelDomain::trust_all_blobs() };
    ModuleManager::with_kernel_domain(platform, Timing::Fast, trusted)
}

/// Loads a blob.
pub fn load(blob: &[u8], domain: Domain) -> Result<Running, LoadError> {
    let manager = manager();
    let id = manager.load_with(blob, &LoadOptions { domain, ..LoadOptions::default() })?;
    Ok(Running { manager, id })
}

impl Running {
    /// Calls the module, and returns its result or the kind of its fault.
    pub fn run(&self) -> Result<i32, FaultKind> {
        self.call(&[]).map(|called| called.0)
    }

    /// Calls the module with an input, and returns its result and output.
    pub fn call(&self, input: &[u8]) -> Result<(i32, Vec<u8>), FaultKind> {
        let mut output = vec![0; 1 << 16];
        match self.manager.execute_with(self.id, input, &mut output) {
            Ok(execution) => {
                output.truncate(execution.output_length);
                Ok((execution.result, output))
            }
            Err(ExecuteError::Faulted(fault)) => Err(fault.kind),
            Err(error) => panic!("{error}"),
        }
    }
}

/// Appends the section `bareflow.module` to a module: a header that `change` fills in, and records.
pub fn described(mut wasm: Vec<u8>, change: impl FnOnce(&mut Header), records: &[(u32, &[u8])]) -> Vec<u8> {
    let mut header = Header { magic: MAGIC, format: FORMAT_VERSION, version_minor: 7, ..Header::default() };
    header.name[..4].copy_from_slice(b"test");
    change(&mut header);
    let mut contents = header.to_bytes().to_vec();
    records.iter().for_each(|(kind, bytes)| push_record(&mut contents, *kind, bytes));
    wasm_encoder::CustomSection { name: SECTION.into(), data: contents.into() }.append_to(&mut wasm);
    wasm
}
