//! The frames that are passed on between the card and its user.

use bareflow_abi::Out;
use bareflow_abi::shared::SharedBytes;
use bareflow_device::{Buffer, Completion, Device, DeviceError};
use bareflow_nic::NicError;

use crate::registers::{self, write};
use crate::ring::{Broken, Kind, Ring};
use crate::{CARD, Driver, Imports};

/// The most addresses that are asked for at once.
const BATCH: usize = 32;

impl Driver<'_> {
    /// Gives frames to the card, and collects others. Returns how many the card took.
    pub fn exchange(&mut self, kind: Kind, frames: &[Buffer], into: &mut Out<'_, Completion>) -> Result<u32, NicError> {
        let before = into.written().len();
        let Imports { device, regions, .. } = &mut self.imports;
        // The rings are no user's.
        if frames.iter().any(|frame| frame.memory == self.state.memory) {
            return Err(NicError::BadBuffer);
        }
        let ring = match kind {
            Kind::Receive => &mut self.state.receiving,
            Kind::Send => &mut self.state.sending,
        };
        let listens = kind == Kind::Receive && into.remaining() > 0;
        let passed = match regions.shared(self.state.region) {
            Ok(view) => pass(device, kind, ring, view.bytes(), frames, into),
            Err(_) => Err(Failed::Device(DeviceError::NotOpen)),
        };
        self.state.frames[kind as usize] += (into.written().len() - before) as u64;
        let passed = passed.and_then(|taken| {
            if listens && into.remaining() > 0 {
                write(device, registers::LET_THROUGH, registers::RECEIVED)?;
                device.listen(CARD)?;
            }
            Ok(taken)
        });
        passed.map_err(|failed| match failed {
            Failed::Device(error) => self.mend(error),
            Failed::Broken(broken) => {
                self.context.log(broken.line());
                self.restart()
            }
        })
    }
}

/// The reason why frames are not passed on.
enum Failed {
    Device(DeviceError),
    Broken(Broken),
}

impl From<DeviceError> for Failed {
    fn from(error: DeviceError) -> Failed {
        Failed::Device(error)
    }
}

/// Gives frames to the card, tells it so, and collects others. Returns how many it took.
fn pass(
    device: &mut impl Device,
    kind: Kind,
    ring: &mut Ring,
    bytes: SharedBytes<'_>,
    frames: &[Buffer],
    into: &mut Out<'_, Completion>,
) -> Result<u32, Failed> {
    let taken = give(device, kind, ring, bytes, frames)?;
    if taken > 0 {
        write(device, kind.registers().tail, ring.tail())?;
    }
    if kind == Kind::Receive && into.remaining() > 0 {
        // What comes from here on is pending, and sends an interrupt once it is let through.
        write(device, registers::PENDING, registers::RECEIVED)?;
    }
    while into.remaining() > 0 {
        match ring.take(kind, bytes).map_err(Failed::Broken)? {
            Some(done) => _ = into.push(done),
            None => break,
        }
    }
    Ok(taken)
}

/// Gives frames to the card, as long as there is room. Returns how many.
fn give(
    device: &impl Device,
    kind: Kind,
    ring: &mut Ring,
    bytes: SharedBytes<'_>,
    frames: &[Buffer],
) -> Result<u32, DeviceError> {
    let mut taken = 0;
    let fitting = frames.get(..frames.len().min(ring.room() as usize)).unwrap_or_default();
    for frames in fitting.chunks(BATCH) {
        let mut room = [0; BATCH];
        let mut addresses = Out::new(&mut room);
        let found = device.addresses(CARD, frames, &mut addresses);
        for (frame, address) in frames.iter().zip(addresses.written()) {
            if !ring.give(kind, bytes, frame, *address) {
                return Ok(taken);
            }
            taken += 1;
        }
        match found {
            Err(error) if taken == 0 => return Err(error),
            // The card has those before; this one is refused when it comes first.
            Err(_) => break,
            Ok(()) => {}
        }
    }
    Ok(taken)
}
