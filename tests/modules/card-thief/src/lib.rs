//! Reaches for the memory of the module that uses the card now, by the driver that both call.

#![no_std]
#![forbid(unsafe_code)]

use bareflow_abi::{Context, Failure, Out};
use bareflow_nic::{Buffer, Completion, MAX_FRAME_BYTES, MIN_BUFFER_BYTES, Nic, NicError};
use bareflow_regions::{Access, Regions};

bareflow_abi::module!(reach, imports = { nic: Nic, regions: Regions });

/// The numbers of regions that are tried: those of all modules that were loaded before.
const REGIONS: u32 = 200;

/// The numbers of memories of a device, and some that it does not have.
const MEMORIES: u32 = 20;

/// Returns 0 if all attempts failed as they have to; else the number of the first that did not, negative.
fn reach(_: &mut Context<'_>, mut with: Imports<'_>) -> i32 {
    let mut attempts = 0;
    let mut wrong = 0;
    let mut note = |is_right: bool| {
        attempts += 1;
        if !is_right && wrong == 0 {
            wrong = attempts;
        }
    };
    let Imports { nic, regions } = &mut with;
    let not_yours = Err(NicError::NotYours);
    let empty = |memory| Buffer { memory, offset: 0, length: MIN_BUFFER_BYTES, token: 0, flags: 0 };
    let frame = |memory| Buffer { length: 60, ..empty(memory) };
    let Ok(region) = regions.create(4096) else { return -1000 };
    if regions.lend(region, "virtio-net", Access::Shared).is_err() {
        return -1001;
    }
    // The card is another module's.
    let mut done = [Completion::default(); 4];
    note(nic.attach(region) == not_yours);
    note(nic.receive(&[], &mut Out::new(&mut done)) == not_yours);
    note(nic.send(&[], &mut Out::new(&mut done)) == not_yours);
    for memory in 0..MEMORIES {
        note(nic.send(&[frame(memory)], &mut Out::new(&mut done)) == not_yours);
        note(nic.receive(&[empty(memory)], &mut Out::new(&mut done)) == not_yours);
    }
    // It is this module's, and the memory is not.
    if let Err(error) = nic.begin(&mut [0; 6]) {
        return -2000 - error.number() as i32;
    }
    for other in (0..REGIONS).filter(|other| *other != region) {
        note(nic.attach(other) == Err(NicError::BadRegion));
    }
    let Ok(own) = nic.attach(region) else { return -1002 };
    for memory in (0..MEMORIES).filter(|memory| *memory != own) {
        note(nic.send(&[frame(memory)], &mut Out::new(&mut done)) == Err(NicError::BadBuffer));
        note(nic.receive(&[empty(memory)], &mut Out::new(&mut done)) == Err(NicError::BadBuffer));
    }
    // Neither is longer or shorter than frames may be.
    let (long, short) = (Buffer { length: MAX_FRAME_BYTES + 1, ..empty(own) }, Buffer { length: 1518, ..empty(own) });
    note(nic.send(&[frame(own), long], &mut Out::new(&mut done)) == Err(NicError::BadBuffer));
    note(nic.receive(&[empty(own), short], &mut Out::new(&mut done)) == Err(NicError::BadBuffer));
    note(nic.send(&[frame(own)], &mut Out::new(&mut done)) == Ok(1));
    -wrong
}
