//! Sensors of a machine: an interface between the example kernels, which provide it, and the module `thermostat`.

#![no_std]
#![forbid(unsafe_code)]

use bareflow_abi::{CallError, Failure, interface};

/// Sensors, by their names.
#[interface(version = "1.0")]
pub trait Sensors {
    /// Returns the temperature at a sensor, in thousandths of a degree Celsius.
    fn temperature(&self, sensor: &str) -> Result<i32, SensorError>;
}

/// An error of sensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Failure)]
pub enum SensorError {
    /// There is no sensor of this name.
    NoSuchSensor,
    /// The call gave no answer.
    #[call_error]
    Call(CallError),
}
