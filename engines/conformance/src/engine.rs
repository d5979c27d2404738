//! The engines that are tested, as libraries in this process.

use anyhow::{Result, anyhow};
use bareflow_engine::Options as EngineOptions;
use bareflow_translator::Options;

/// An engine with its options.
pub trait Engine {
    /// Makes a blob of a module, which says its own name.
    fn compile(&self, wasm: &[u8]) -> Result<Vec<u8>>;

    /// Checks that a module is valid and supported.
    fn validate(&self, wasm: &[u8]) -> Result<()>;
}

impl Engine for Options {
    fn compile(&self, wasm: &[u8]) -> Result<Vec<u8>> {
        Ok(bareflow_translator::translate(self, "test", wasm)?)
    }

    fn validate(&self, wasm: &[u8]) -> Result<()> {
        Ok(bareflow_translator::validate(wasm)?)
    }
}

/// The interpreter. A memory may have this many pages.
pub struct Interpreter(pub u32);

impl Engine for Interpreter {
    fn compile(&self, wasm: &[u8]) -> Result<Vec<u8>> {
        let options = EngineOptions { maximum_pages: self.0, ..EngineOptions::DEFAULT };
        bareflow_interpreter::compile(&options, "test", wasm).map_err(|refusal| anyhow!(refusal.text))
    }

    fn validate(&self, wasm: &[u8]) -> Result<()> {
        bareflow_interpreter::validate(wasm).map_err(|refusal| anyhow!(refusal.text))
    }
}
