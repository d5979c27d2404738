//! Measures what a frame takes if its driver is in the same module, as `blast` does: with nothing between them that isolates.

#![no_std]

#[path = "../../blast/src/card.rs"]
mod card;
mod driver;
#[path = "../../blast/src/runs.rs"]
mod runs;
#[path = "../../blast/src/ways.rs"]
mod ways;

use bareflow_abi::{Context, Failure};
use bareflow_device::{Device, Virtio};
use bareflow_nic::Nic;
use bareflow_regions::Regions;

use driver::Driver;

bareflow_abi::module!(measure, imports = { device: Device, virtio: Virtio, far: Nic, regions: Regions });

/// Writes what frames take.
fn measure(context: &mut Context<'_>, with: Imports<'_>) -> i32 {
    let Imports { device, virtio, mut far, mut regions } = with;
    let measured = Driver::start(device, virtio, &mut regions).and_then(|mut near| {
        let (mut near, _) = card::set_up(&mut near, None, &mut regions)?;
        let (mut far, _) = card::set_up(&mut far, Some("second"), &mut regions)?;
        ways::measure_all(context, &mut near, &mut far)
    });
    measured.map_or_else(|error| -(error.number() as i32), |()| 0)
}
