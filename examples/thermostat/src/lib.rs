//! Uses an interface that the embedder provides: reads a sensor, and decides on a fan's speed.

#![no_std]
#![forbid(unsafe_code)]

use bareflow_abi::Context;
use sensors_interface::Sensors;

bareflow_abi::module!(thermostat, imports = { sensors: Sensors });

/// Returns the speed of the processor's fan, in percent: 0 up to 30 degrees, 100 from 80 degrees on, and if there is no
/// telling.
pub fn thermostat(_: &mut Context<'_>, with: Imports<'_>) -> i32 {
    match with.sensors.temperature("cpu") {
        Ok(temperature) => ((temperature - 30_000) / 500).clamp(0, 100),
        Err(_) => 100,
    }
}
