//! `embed-host FILE.mod`: loads a module into this process, runs it, and prints its cost.

use std::error::Error;

use bareflow_host::HostPlatform;
use bareflow_loader::{KernelDomain, ModuleManager, Timing};
use sensors_interface::{SensorError, Sensors};

/// The sensors of this process, for modules that import them.
struct Board;

impl Sensors for Board {
    fn temperature(&self, sensor: &str) -> Result<i32, SensorError> {
        if sensor == "cpu" { Ok(42_000) } else { Err(SensorError::NoSuchSensor) }
    }
}

fn main() {
    if let Err(error) = run() {
        eprintln!("error: {error}");
        std::process::exit(1);
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: embed-host FILE.mod")?;
    let blob = std::fs::read(&path)?;
    let platform = HostPlatform::new(Box::new(|line| println!("{line}")))?;
    // SAFETY: whoever runs this program vouches for the blob that they name.
    let trusted = unsafe { KernelDomain::trust_all_blobs() };
    let manager = ModuleManager::with_kernel_domain(platform, Timing::Precise, trusted);
    manager.provide::<dyn Sensors, _>("board", Board)?;
    let id = manager.load(&blob)?;
    let result = manager.execute(id)?;
    let cycles = manager.stats(id).and_then(|profile| profile.cycles).map(|cycles| cycles.corrected.min);
    println!("{path}: {result} in {} cycles", cycles.unwrap_or(0));
    Ok(())
}
