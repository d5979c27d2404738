//! The time from a fault of a driver to the next frame.

use core::fmt::Write;

use bareflow_abi::{CallError, Context};
use bareflow_nic::{Nic, NicError};
use bareflow_regions::{Access, RegionError, Regions, RegionsClient};

use super::card::{Card, MOST, set_up};
use super::runs::{now, wait};
use super::{FAR, NEAR};

/// The number of faults.
const FAULTS: usize = 5;

/// The frames that came before the fault, and were not collected.
const WAITING: usize = 7;

/// The length of a frame, in bytes.
const LENGTH: u32 = 1500;

/// Sends frames, and waits until they are with the other card. None may be under way before.
fn send(card: &mut Card<'_, impl Nic>, count: usize) -> Result<(), NicError> {
    let sent = card.send(count)?;
    if sent == count { Ok(()) } else { wait(count - sent, |_| card.send(0)) }
}

/// Makes the nearer card's driver fault while frames wait in its queue, and writes a line for each fault: the ticks until
/// its user has those, and until it has one that was sent since.
pub fn measure(
    context: &mut Context<'_>,
    near: &mut impl Nic,
    far: &mut impl Nic,
    regions: &mut RegionsClient<'_>,
) -> Result<(), NicError> {
    let (mut far, _) = set_up(far, Some(FAR), regions)?;
    let (Card { nic: near, .. }, [region, mut memory]) = set_up(near, Some(NEAR), regions)?;
    far.set_length(LENGTH);
    for _ in 0..FAULTS {
        Card::new(&mut *near, memory).receive(WAITING, 0)?;
        send(&mut far, WAITING)?;
        let start = now();
        if context.call("virtio-net.net_init", b"now", &mut []).is_ok() {
            return Err(NicError::Failed);
        }
        // Its user is told once that the driver has forgotten it.
        match near.begin(&mut [0; 6]) {
            Err(NicError::Call(CallError::Restarted)) => near.begin(&mut [0; 6])?,
            begun => begun?,
        };
        regions.lend(region, NEAR, Access::Shared).map_err(|_: RegionError| NicError::BadRegion)?;
        memory = near.attach(region)?;
        let mut card = Card::new(&mut *near, memory);
        let kept = card.receive(0, MOST)?;
        let again = now();
        card.receive(1, 0)?;
        send(&mut far, 1)?;
        wait(1, |count| card.receive(0, count))?;
        let (again, next) = (again - start, now() - start);
        writeln!(context, "{kept} of {WAITING} frames are there after {again}, and the next one after {next}")
            .map_err(|_| CallError::BadAnswer)?;
    }
    Ok(())
}
