//! The use of the card: its start, the memory that frames lie in, and what it has of that.
//!
//! ```text
//! mod.rs       the session: from a start of the card to the next one
//! buffers.rs   which buffer is whose
//! exchange.rs  the frames that come and go at once, as the stack sees them
//! ```

mod buffers;
mod exchange;

use bareflow_abi::shared::SharedBytes;
use bareflow_abi::{CallError, Out};
use bareflow_nic::{Completion, Nic, NicError};
use bareflow_regions::{Access, RegionError, Regions};

use buffers::{BUFFER_BYTES, Buffers, EACH};
pub use exchange::{Came, Exchange};

/// The module that drives the card.
const DRIVER: &str = "virtio-net";

/// A session with the card, of one start of it after the other.
#[derive(Debug)]
pub struct Session {
    /// The region with the buffers; 0 before it is created.
    region: u32,
    /// Whether the card runs and has the region, the number of that memory, and that of the start since which it has it.
    is_up: bool,
    memory: u32,
    start: u32,
    /// Whether there may be frames in the buffers that came before this start, and whether some of those may be lost.
    is_resumed: bool,
    has_lost: bool,
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
            start: 0,
            is_resumed: false,
            has_lost: false,
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
        // What a driver had collected that went wrong in its answer is gone.
        self.has_lost |= matches!(error, NicError::Call(CallError::Faulted | CallError::OutOfTime));
    }

    /// Starts the card, gives it the region, and sends what it had not sent. Returns the card's address.
    pub fn set_up(&mut self, nic: &mut impl Nic, regions: &mut impl Regions) -> Result<[u8; 6], NicError> {
        let mut address = [0; 6];
        self.start = nic.begin(&mut address)?;
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
        self.collect_sent(nic)?;
        self.is_up = true;
        self.starts += 1;
        self.send_last(nic, self.buffers.sending())?;
        Ok(address)
    }

    /// Collects the frames that came, and those that were sent. Returns `None` if the card was started anew.
    pub fn collect(&mut self, nic: &mut impl Nic) -> Result<Option<Came>, NicError> {
        self.collect_sent(nic)?;
        let mut came = Came::default();
        let start = came.collect(nic)?;
        if start != self.start {
            self.has_lost |= !came.frames().is_empty();
            return Ok(None);
        }
        came.frames().iter().for_each(|done| self.buffers.take(done.token));
        self.is_resumed &= came.is_full();
        Ok(Some(came))
    }

    fn collect_sent(&mut self, nic: &mut impl Nic) -> Result<(), NicError> {
        if self.buffers.sending() == 0 {
            return Ok(());
        }
        let mut sent = [Completion::default(); EACH as usize];
        let mut out = Out::new(&mut sent);
        nic.sent(&mut out)?;
        out.written().iter().for_each(|done| self.buffers.free(done.token));
        Ok(())
    }

    /// Returns the frames that came, and room for those that go out. If some may be lost that came before, the newest is repeated
    /// that went out.
    pub fn exchange<'view>(&'view mut self, bytes: SharedBytes<'view>, came: &'view Came) -> Exchange<'view> {
        let has_lost = core::mem::take(&mut self.has_lost);
        let mut exchange = Exchange::new(&mut self.buffers, bytes, came.frames());
        if has_lost {
            exchange.repeat_newest();
        }
        exchange
    }

    /// Sends the frames of an exchange, and gives the card the buffers that are free.
    pub fn pass_on(&mut self, nic: &mut impl Nic, count: usize) -> Result<(), NicError> {
        self.send_last(nic, count)?;
        // A frame that came before is read before its buffer is used again.
        if self.is_resumed {
            return Ok(());
        }
        let (buffers, count) = self.buffers.give(self.memory);
        let taken = if count == 0 { 0 } else { nic.receive(&buffers[..count])? as usize };
        buffers[..count].iter().skip(taken).for_each(|buffer| self.buffers.take(buffer.token));
        Ok(())
    }

    /// Gives the card the last frames of those that are to be sent. What it has no room for is dropped, as any network does.
    fn send_last(&mut self, nic: &mut impl Nic, count: usize) -> Result<(), NicError> {
        if count == 0 {
            return Ok(());
        }
        let frames = self.buffers.last(self.memory, count);
        let taken = nic.send(&frames[..count])? as usize;
        frames[..count].iter().skip(taken).for_each(|dropped| self.buffers.free(dropped.token));
        Ok(())
    }
}
