//! `embed-host FILE.mod`: loads a module into this process, runs it, and prints its cost.

use std::error::Error;

use bareflow_host::HostPlatform;
use bareflow_loader::{KernelDomain, ModuleManager, Timing};

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: embed-host FILE.mod")?;
    let blob = std::fs::read(&path)?;
    let platform = HostPlatform::new(Box::new(|line| println!("{line}")))?;
    // SAFETY: whoever runs this program vouches for the blob that they name.
    let trusted = unsafe { KernelDomain::trust_all_blobs() };
    let manager = ModuleManager::with_kernel_domain(platform, Timing::Precise, trusted);
    let id = manager.load(&blob)?;
    let result = manager.execute(id)?;
    let cycles = manager.stats(id).and_then(|profile| profile.cycles).map(|cycles| cycles.corrected.min);
    println!("{path}: {result} in {} cycles", cycles.unwrap_or(0));
    Ok(())
}
