//! The faults that the IOMMU reports: accesses of devices that it refused.

use core::fmt::Arguments;

use bareflow_devices::iommu::{Direction, Fault, Viot};
use bareflow_suite::console::Style;

use super::ports::function_at;
use crate::console;

/// The most devices whose faults are counted.
const COUNTED: usize = 64;

/// The faults of each endpoint that had some.
pub struct Faults([(u32, u64); COUNTED]);

impl Faults {
    /// No faults.
    pub const NONE: Faults = Faults([(0, 0); COUNTED]);

    /// Returns the number of an endpoint's.
    pub fn of(&self, endpoint: u32) -> u64 {
        self.0.iter().find(|(known, count)| *known == endpoint && *count > 0).map_or(0, |(_, count)| *count)
    }

    /// Counts a fault, and says so each time that there are twice as many of a device as before.
    pub fn add(&mut self, fault: Fault, viot: &Viot) {
        let place = self.0.iter_mut().find(|(endpoint, count)| *endpoint == fault.endpoint || *count == 0);
        let Some((endpoint, count)) = place else { return };
        (*endpoint, *count) = (fault.endpoint, count.saturating_add(1));
        if count.is_power_of_two() {
            tell(viot.function(fault.endpoint), fault, *count);
        }
    }
}

fn tell(function: Option<u16>, fault: Fault, count: u64) {
    let Some(function) = function else {
        let endpoint = fault.endpoint;
        let line =
            format_args!("[WARN] the IOMMU refused an access of {endpoint:#x}, which is no device, {count} times\n");
        console::show(Style::Warning, line);
        return;
    };
    let function = function_at(function);
    let verb = match fault.direction {
        Direction::Read => "read",
        Direction::Write => "write",
        Direction::Unknown => "use",
    };
    let warn = |place: Arguments<'_>| {
        console::show(
            Style::Warning,
            format_args!(
                "[WARN] device {function}: it wanted to {verb} {place}, which it was not given; the \
                 IOMMU refused that, {count} times so far\n"
            ),
        );
    };
    match fault.address {
        Some(address) => warn(format_args!("{address:#x}")),
        None => warn(format_args!("memory")),
    }
}
