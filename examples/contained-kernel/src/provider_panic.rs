//! A provider that panics: the module's call of it fails, and nothing else.

use bareflow_loader::{ModuleManager, Platform};
use sensors_interface::{SensorError, Sensors};

/// Sensors out of order.
struct Broken;

impl Sensors for Broken {
    fn temperature(&self, sensor: &str) -> Result<i32, SensorError> {
        panic!("the sensor {sensor} does not answer");
    }
}

/// Calls the module `thermostat` with a provider that panics. Returns its result.
pub fn run<P: Platform>(manager: &ModuleManager<P>, thermostat: &[u8]) -> Option<i32> {
    manager.provide::<dyn Sensors, _>("board", Broken).ok()?;
    let module = manager.load(thermostat).ok()?;
    let result = manager.execute(module).ok()?;
    manager.unload(module).ok().map(|_| result)
}
