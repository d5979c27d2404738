//! The use of the card: its start, the memory that frames lie in, and what it has of that.
//!
//! ```text
//! mod.rs      the session: from a start of the card to the next one
//! batch.rs    the frames that come and go at once, as the stack sees them
//! buffers.rs  which buffer is whose
//! ```

mod batch;
mod buffers;
#[cfg(test)]
mod tests;

use bareflow_abi::shared::SharedBytes;
use bareflow_abi::{CallError, Out};
use bareflow_nic::{Completion, Nic, NicError};
use bareflow_regions::{Access, RegionError, Regions};

use batch::{BATCH, REPEATS};
pub use batch::{Batch, Came};
use buffers::{BUFFER_BYTES, Buffers, EACH};

/// The module that drives the card, by the import that is bound to it.
const DRIVER: &str = "nic";

/// The number of buffers to receive for which the card is asked once more.
const MANY: usize = 16;

/// A session with the card, of one start of it after the other.
#[derive(Debug)]
pub struct Session {
    /// The region with the buffers; 0 before it is created.
    region: u32,
    /// Whether the card runs and has the region, and the number of that memory.
    is_up: bool,
    memory: u32,
    /// Whether there may be frames in the buffers that came before this start, and whether some of those may be lost.
    is_resumed: bool,
    has_lost: bool,
    /// Whether it is to receive again at once, for more frames or to give the card more buffers.
    is_due: bool,
    buffers: Buffers,
    /// The times that it was set up.
    pub starts: u64,
}

impl Session {
    /// Makes a session that is not set up.
    pub const fn new() -> Session {
        Session {
            region: 0,
            is_up: false,
            memory: 0,
            is_resumed: false,
            has_lost: false,
            is_due: false,
            buffers: Buffers::new(),
            starts: 0,
        }
    }

    /// Returns whether it is set up.
    pub fn is_up(&self) -> bool {
        self.is_up
    }

    /// Returns the region with the buffers.
    pub fn region(&self) -> u32 {
        self.region
    }

    /// Ends it with an error, after which the card has nothing any more.
    pub fn end(&mut self, error: NicError) {
        self.is_up = false;
        // What a driver had collected that went wrong in its answer is gone, and so is what a card had that broke the rules.
        self.has_lost |= matches!(error, NicError::Ended | NicError::Call(CallError::Faulted | CallError::OutOfTime));
    }

    /// Starts the card, gives it the region, and sends what it had not sent. Returns the card's address.
    pub fn set_up(&mut self, nic: &mut impl Nic, regions: &mut impl Regions) -> Result<[u8; 6], NicError> {
        let mut address = [0; 6];
        nic.begin(&mut address)?;
        if self.region == 0 {
            if !self.buffers.reset() {
                return Err(NicError::BadRegion);
            }
            let bytes = u64::from(BUFFER_BYTES) * u64::from(2 * EACH);
            self.region = regions.create(bytes).map_err(|_| NicError::BadRegion)?;
        }
        // A driver that was not replaced has it still.
        match regions.lend(self.region, DRIVER, Access::Shared) {
            Ok(()) | Err(RegionError::Lent) => {}
            Err(_) => {
                _ = regions.take_back(self.region);
                return Err(NicError::BadRegion);
            }
        }
        self.memory = nic.attach(self.region)?;
        self.buffers.take_all();
        self.is_resumed = true;
        // What was sent before is not sent again.
        self.send_last(nic, 0)?;
        self.is_up = true;
        self.starts += 1;
        self.send_last(nic, self.buffers.sending())?;
        Ok(address)
    }

    /// Returns the frames that came, and gives the card the buffers to receive that were free before.
    pub fn receive(&mut self, nic: &mut impl Nic) -> Result<Came, NicError> {
        // Any frame may have an answer.
        if self.buffers.free_to_send() < BATCH {
            self.send_last(nic, 0)?;
        }
        let repeats = if self.has_lost { REPEATS } else { 0 };
        let mut came = Came::new(self.buffers.free_to_send().saturating_sub(repeats));
        let mut is_stuck = false;
        if self.is_resumed {
            // A frame that came before is read before its buffer is used again.
            came.receive(nic, &[])?;
        } else {
            let (empty, count) = self.buffers.give(self.memory);
            let taken = came.receive(nic, &empty[..count])? as usize;
            empty[..count].iter().skip(taken).for_each(|buffer| self.buffers.take(buffer.token));
            // The card has as many as it has room for.
            is_stuck = taken == 0 && came.frames().is_empty();
        }
        came.frames().iter().for_each(|done| self.buffers.take(done.token));
        self.is_resumed &= came.is_full();
        self.is_due = came.is_full() || self.buffers.free_to_receive() >= MANY && !is_stuck;
        Ok(came)
    }

    /// Returns whether there may be more to receive, or so many buffers are free for it that the card is to be given them soon.
    pub fn is_due(&self) -> bool {
        self.is_due
    }

    /// Returns the frames that came, and room for those that go out. If some may be lost that came before, the newest that went
    /// out is repeated.
    pub fn batch<'view>(&'view mut self, bytes: SharedBytes<'view>, came: &'view Came) -> Batch<'view> {
        let repeats = self.has_lost && self.buffers.free_to_send() >= REPEATS;
        self.has_lost &= !repeats;
        let mut batch = Batch::new(&mut self.buffers, bytes, came.frames());
        if repeats {
            batch.repeat_newest();
        }
        batch
    }

    /// Sends the last frames of those that are to be sent, and frees the buffers of those that were. A frame that the card
    /// has no room for is dropped, as any network does.
    pub fn send_last(&mut self, nic: &mut impl Nic, count: usize) -> Result<(), NicError> {
        if self.buffers.sending() == 0 {
            return Ok(());
        }
        let frames = self.buffers.last(self.memory, count);
        let mut sent = [Completion::default(); EACH as usize];
        let mut out = Out::new(&mut sent);
        let taken = nic.send(&frames[..count], &mut out)? as usize;
        let dropped = frames[..count].iter().skip(taken).map(|frame| frame.token);
        out.written().iter().map(|done| done.token).chain(dropped).for_each(|token| self.buffers.free(token));
        Ok(())
    }
}
