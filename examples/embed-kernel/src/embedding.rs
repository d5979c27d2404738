//! The loader in an existing kernel, which has page tables and a frame allocator.

use bareflow_loader::{KernelDomain, ModuleManager, Timing};
use bareflow_runtime::{Direct, MappedPages};
use kernel_start::{Frames, MODULES, mapper};

/// Loads two modules, calls both and unloads them. Returns their results.
pub fn run(sum: &[u8], primes: &[u8]) -> Option<[i32; 2]> {
    // SAFETY: no one else changes the page tables, nor uses the addresses from `MODULES` on; the blobs are our own.
    let (pages, trusted) = unsafe { (MappedPages::new(mapper(), Frames), KernelDomain::trust_all_blobs()) };
    // SAFETY: as above.
    let platform = unsafe { Direct::new(pages, MODULES) };
    let manager = ModuleManager::with_kernel_domain(platform, Timing::Precise, trusted);
    let modules = [manager.load(sum).ok()?, manager.load(primes).ok()?];
    let results = modules.map(|module| manager.execute(module).unwrap_or(-1));
    modules.iter().all(|&module| manager.unload(module).is_ok()).then_some(results)
}
