//! The ways of frames through a driver, and what each takes.

use core::fmt::Write;

use bareflow_abi::{CallError, Context};
use bareflow_nic::{Nic, NicError};

use super::card::{Card, MOST};
use super::runs::{fewest, pause, ticks, wait};

/// The lengths of frames, in bytes, and the numbers of frames at a time.
const LENGTHS: [u32; 2] = [64, 1500];
const BATCHES: [usize; 2] = [1, MOST];

/// Returns what the nearer card's driver takes to send `count` frames, if as many before were sent when it is asked.
fn send(near: &mut Card<'_, impl Nic>, far: &mut Card<'_, impl Nic>, count: usize) -> Ticks {
    far.receive(count, 0)?;
    let (ticks, found) = ticks(|| near.send(count))?;
    wait(count, |count| far.receive(0, count))?;
    pause();
    Ok((found == count).then_some(ticks))
}

/// Returns what the nearer card's driver takes to receive `count` frames, and to give it as many buffers, if they all are
/// there when it is asked.
fn receive(near: &mut Card<'_, impl Nic>, far: &mut Card<'_, impl Nic>, count: usize) -> Ticks {
    // An interrupt that waits comes now.
    near.receive(0, 1)?;
    far.send(count)?;
    near.turn();
    pause();
    let (ticks, found) = ticks(|| near.receive(count, count + 1))?;
    if found < count {
        wait(count - found, |count| near.receive(0, count))?;
    }
    Ok((found == count).then_some(ticks))
}

/// The ticks of a run that counts.
type Ticks = Result<Option<u64>, NicError>;

/// Writes a line for each way of frames through the driver of the nearer card.
pub fn measure_all(
    context: &mut Context<'_>,
    near: &mut Card<'_, impl Nic>,
    far: &mut Card<'_, impl Nic>,
) -> Result<(), NicError> {
    for length in LENGTHS {
        near.set_length(length);
        far.set_length(length);
        for count in BATCHES {
            let sent = fewest(|| send(near, far, count))? / count as u64;
            near.finish_sending()?;
            near.receive(count, 0)?;
            let received = fewest(|| receive(near, far, count))? / count as u64;
            // The card has as many buffers still.
            far.send(count)?;
            wait(count, |count| near.receive(0, count))?;
            writeln!(context, "{length} bytes, {count} at a time: {received} in, {sent} out")
                .map_err(|_| CallError::BadAnswer)?;
        }
    }
    Ok(())
}
