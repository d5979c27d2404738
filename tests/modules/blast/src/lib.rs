//! Measures what a frame takes on its way through a driver: one line for each size and number of frames at a time. Another
//! card on the same wire, with a driver of its own, receives what is sent, and sends what is received.

#![no_std]

mod card;
mod outage;
mod runs;
mod ways;

use bareflow_abi::{Context, Failure};
use bareflow_nic::{Nic, NicError};
use bareflow_regions::Regions;

bareflow_abi::module!(measure, imports = { near: Nic, far: Nic, regions: Regions }, exports = [outage]);

/// The drivers of both cards.
const NEAR: &str = "virtio-net";
const FAR: &str = "second";

/// Writes what frames take.
fn measure(context: &mut Context<'_>, with: Imports<'_>) -> i32 {
    let Imports { mut near, mut far, mut regions } = with;
    let measured = card::set_up(&mut near, Some(NEAR), &mut regions).and_then(|(mut near, _)| {
        let (mut far, _) = card::set_up(&mut far, Some(FAR), &mut regions)?;
        ways::measure_all(context, &mut near, &mut far)
    });
    result(measured)
}

/// Writes how long no frame comes when the driver of the nearer card faults.
fn outage(context: &mut Context<'_>, with: Imports<'_>) -> i32 {
    let Imports { mut near, mut far, mut regions } = with;
    result(outage::measure(context, &mut near, &mut far, &mut regions))
}

fn result(measured: Result<(), NicError>) -> i32 {
    measured.map_or_else(|error| -(error.number() as i32), |()| 0)
}
