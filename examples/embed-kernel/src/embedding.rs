//! The loader in an existing kernel, which has page tables and a frame allocator.

use bareflow_loader::{KernelDomain, ModuleManager, Timing};
use bareflow_runtime::{Direct, MappedPages};

use crate::memory::{self, MODULES};

/// Loads two modules, calls both and unloads them. Returns their results.
pub fn run(sum: &[u8], primes: &[u8]) -> Option<[i32; 2]> {
    let pages = MappedPages::new(memory::mapper(), memory::Frames);
    // SAFETY: nothing else uses the addresses from `MODULES` on, and the blobs are our own.
    let (platform, trusted) = unsafe { (Direct::new(pages, MODULES), KernelDomain::trust_all_blobs()) };
    let manager = ModuleManager::with_kernel_domain(platform, Timing::Precise, trusted);
    let modules = [manager.load(sum).ok()?, manager.load(primes).ok()?];
    let results = modules.map(|module| manager.execute(module).unwrap_or(-1));
    modules.map(|module| manager.unload(module).is_ok());
    Some(results)
}
