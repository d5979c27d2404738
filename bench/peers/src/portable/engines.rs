//! Our side: the engines as modules, and what they make, loaded into this process.

use bareflow_abi::header::{HEADER_SIZE, Header};
use bareflow_builder::discover::engines;
use bareflow_builder::{Workspace, build_module};
use bareflow_engine::{CHECKED, Options, QUICK, SPEED, WINDOW};
use bareflow_loader::{Budget, Domain, LoadOptions, ModuleId};

use crate::measure::Contender;
use crate::ours::{Manager, manager, renamed};
use crate::peers::BoxError;

/// The room for a call's output, in bytes.
pub const OUTPUT: usize = 256 << 10;

/// The code that an engine is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// The name in tables.
    pub name: &'static str,
    engine: &'static str,
    optimization: u32,
    bounds: u32,
    spectre_guard: u32,
}

/// Tier 0.
pub const INTERPRETED: Code =
    Code { name: "tier 0", engine: "interpreter", optimization: QUICK, bounds: CHECKED, spectre_guard: 0 };

/// Tier 1.
pub const QUICKLY: Code =
    Code { name: "tier 1", engine: "compiler", bounds: WINDOW, spectre_guard: 1, ..INTERPRETED };

/// Tier 2, in windows.
pub const FAST: Code = Code { name: "tier 2", optimization: SPEED, ..QUICKLY };

/// Tier 2, whose code compares each address. As all tiers that are compiled, it is safe from Spectre.
pub const CHECKED_FAST: Code = Code { name: "tier 2, checked", bounds: CHECKED, ..FAST };

/// The same without the guard.
pub const UNGUARDED_FAST: Code = Code { name: "checked, no guard", spectre_guard: 0, ..CHECKED_FAST };

/// All kinds of code.
pub const CODES: [Code; 5] = [INTERPRETED, QUICKLY, FAST, CHECKED_FAST, UNGUARDED_FAST];

impl Code {
    /// Returns the options for the processor at hand.
    pub fn options(&self) -> Options {
        let level = bareflow_host::cpu_level();
        let Code { optimization, bounds, spectre_guard, .. } = *self;
        Options { optimization, bounds, spectre_guard, cpu_level: level.into(), maximum_pages: 256, ..Options::DEFAULT }
    }

    /// Returns the same as the translator's options.
    pub fn library_options(&self) -> bareflow_translator::Options {
        use bareflow_translator::{Bounds, Optimization};
        let options = self.options();
        bareflow_translator::Options {
            version: (options.version_major, options.version_minor, options.version_patch),
            optimization: if self.optimization == QUICK { Optimization::Quick } else { Optimization::Speed },
            cpu_level: bareflow_host::cpu_level(),
            bounds: if self.bounds == WINDOW { Bounds::Window } else { Bounds::Checked },
            spectre_guard: self.spectre_guard == 1,
            maximum_pages: options.maximum_pages,
        }
    }
}

/// The engines' blobs.
pub struct Blobs(Vec<Vec<u8>>);

impl Blobs {
    /// Builds both.
    pub fn build(workspace: &Workspace) -> Result<Blobs, BoxError> {
        let modules = engines(&workspace.root.join("Cargo.toml"))?.modules;
        let built = modules.iter().map(|module| build_module(module, &workspace.target.join("engines")));
        Ok(Blobs(built.map(|built| built.map(|built| built.bytes)).collect::<Result<_, _>>()?))
    }
}

/// The engines, loaded into this process.
pub struct Engines(Manager);

impl Engines {
    /// Loads both, into a process of its own each if `domain` says so.
    pub fn load(blobs: &Blobs, domain: Domain) -> Result<Engines, BoxError> {
        let manager = manager()?;
        for blob in &blobs.0 {
            // As the command line loads them.
            let limits = Budget { time_us: 300_000_000, stack_bytes: 8 << 20, heap_bytes: 192 << 20, ..Budget::LIMITS };
            manager.load_with(blob, &LoadOptions { domain, limits, ..LoadOptions::DEFAULT })?;
        }
        Ok(Engines(manager))
    }

    /// Returns the manager in which they are loaded.
    pub const fn manager(&self) -> &Manager {
        &self.0
    }

    /// Returns the blob that an engine makes of a module.
    pub fn compile(&self, code: &Code, name: &str, wasm: &[u8]) -> Result<Vec<u8>, BoxError> {
        let compiled = self.0.compile(code.engine, &code.options(), name, wasm);
        Ok(compiled.map_err(|error| format!("{name}: {error}"))?.blob().to_vec())
    }

    /// Returns the most heap that the engine of `code` has used, in bytes; `None` if it does not say.
    pub fn peak_heap(&self, code: &Code) -> Option<u64> {
        self.0.peak_use(self.0.find(code.engine)?).heap_bytes
    }
}

/// A manager in which blobs are called, several of one name.
pub struct Callers(Manager);

/// The limits of the modules that are called.
const LIMITS: Budget = Budget { heap_bytes: 64 << 20, data_bytes: 192 << 20, ..Budget::LIMITS };

impl Callers {
    /// Makes the manager.
    pub fn new() -> Result<Callers, BoxError> {
        Ok(Callers(manager()?))
    }

    /// Loads a blob by another name.
    pub fn load(&self, blob: &[u8], name: &str) -> Result<ModuleId, BoxError> {
        let options = LoadOptions { limits: LIMITS, ..LoadOptions::DEFAULT };
        Ok(self.0.load_with(&renamed(blob, name), &options)?)
    }

    /// Calls a module once, and returns its result and its output.
    pub fn outcome(&self, id: ModuleId, input: &[u8]) -> Result<(i32, Vec<u8>), BoxError> {
        let mut room = vec![0; OUTPUT];
        let outcome = self.0.execute_with(id, input, &mut room)?;
        room.truncate(outcome.output_length);
        Ok((outcome.result, room))
    }

    /// Returns a contender that calls a module.
    pub fn contender<'a>(&'a self, name: &str, id: ModuleId, input: &'a [u8]) -> Result<Contender<'a>, BoxError> {
        let mut pinned = self.0.pin(id)?;
        let mut room = vec![0; OUTPUT];
        Ok(Contender::new(name, move || match pinned.execute_with(input, &mut room) {
            Ok(outcome) => outcome.result,
            Err(error) => panic!("{error}"),
        }))
    }
}

/// Returns the size of a blob's text, in bytes.
pub fn text_size(blob: &[u8]) -> u32 {
    blob.first_chunk::<HEADER_SIZE>().map_or(0, |header| Header::from_bytes(header).text_size)
}
