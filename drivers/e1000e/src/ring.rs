//! A ring of descriptors (3.2.4 and 3.3.3 of the datasheet), as the driver sees it.
//!
//! The card's side is read once for each descriptor, and compared with what the card was given, which is kept elsewhere.

use core::sync::atomic::{AtomicU32, Ordering};

use bareflow_abi::shared::SharedBytes;
use bareflow_abi::state;
use bareflow_device::{Buffer, Completion};

use crate::registers::RingRegisters;

/// The descriptors of a ring, and the bytes of one and of all.
pub const SIZE: u32 = 128;
const DESCRIPTOR_BYTES: u32 = 16;
pub const RING_BYTES: u32 = SIZE * DESCRIPTOR_BYTES;

/// The most that the card has at a time: a ring whose ends meet is empty.
pub const ROOM: u32 = SIZE - 1;

/// The bits of a descriptor's last word: the card is done with it, and a frame ends in it. Then the errors of a frame that is
/// none.
const DONE: u32 = 1;
const ENDS: u32 = 1 << 1;
const ERRORS: u32 = 0x97 << 8;

/// The command to send a frame: it ends here, gets its checksum, and the card says when it is done.
const SEND: u32 = (1 | 1 << 1 | 1 << 3) << 24;

/// The use of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The card writes frames.
    Receive,
    /// The card reads them.
    Send,
}

impl Kind {
    /// Both, in the order of their rings in memory.
    pub const ALL: [Kind; 2] = [Kind::Receive, Kind::Send];

    /// Returns the offset of the ring.
    pub const fn offset(self) -> u32 {
        self as u32 * RING_BYTES
    }

    /// Returns the registers.
    pub const fn registers(self) -> RingRegisters {
        RingRegisters::new(match self {
            Kind::Receive => 0x2800,
            Kind::Send => 0x3800,
        })
    }
}

state! {
    /// The buffers that the card was given in a ring.
    pub struct Ring {
        /// The first descriptor that is the card's, and their number.
        first: u32 = 0,
        count: u32 = 0,
        /// The tokens and lengths of the buffers, by their descriptors.
        tokens: [u16; 128] = [0; 128],
        lengths: [u16; 128] = [0; 128],
    }
}

/// A word of the card's that can't be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// A later descriptor is done, and an earlier one is not.
    Order,
    /// A frame goes on where the buffer ends.
    Unended,
    /// A frame is longer than its buffer, or has no bytes.
    Length,
}

impl Broken {
    /// Returns the line for the log.
    pub const fn line(self) -> &'static str {
        match self {
            Broken::Order => "the card is done with a descriptor before an earlier one; it is started anew",
            Broken::Unended => "the card received a frame that goes on behind its buffer; it is started anew",
            Broken::Length => {
                "the card received a frame of no bytes, or of more than its buffer has; it is started anew"
            }
        }
    }
}

impl Ring {
    /// Returns the register's value that says what is given.
    pub fn tail(&self) -> u32 {
        (self.first + self.count) % SIZE
    }

    /// Returns how many buffers there is room for.
    pub fn room(&self) -> u32 {
        ROOM - self.count
    }

    /// Gives the card a buffer at `address`, once it is told the [tail](Self::tail). Returns false if there is no room.
    pub fn give(&mut self, kind: Kind, bytes: SharedBytes<'_>, buffer: &Buffer, address: u64) -> bool {
        let place = self.tail();
        let Some(words) = words(kind, bytes, place).filter(|_| self.count < ROOM) else { return false };
        let (Some(token), Some(length)) = (self.tokens.get_mut(place as usize), self.lengths.get_mut(place as usize))
        else {
            return false;
        };
        *token = buffer.token;
        *length = u16::try_from(buffer.length).unwrap_or(u16::MAX);
        let command = if kind == Kind::Send { SEND | u32::from(*length) } else { 0 };
        let values = [address as u32, (address >> 32) as u32, command, 0];
        words.into_iter().zip(values).for_each(|(word, value)| word.store(value, Ordering::Release));
        self.count += 1;
        true
    }

    /// Takes the next buffer that the card is done with.
    ///
    /// # Errors
    /// The card says what can't be.
    pub fn take(&mut self, kind: Kind, bytes: SharedBytes<'_>) -> Result<Option<Completion>, Broken> {
        let Some([_, _, length, status]) = words(kind, bytes, self.first).filter(|_| self.count > 0) else {
            return Ok(None);
        };
        let place = self.first as usize;
        let mut state = status.load(Ordering::Acquire);
        if state & DONE == 0 {
            let [.., newest] = words(kind, bytes, (self.first + self.count - 1) % SIZE).ok_or(Broken::Order)?;
            if newest.load(Ordering::Acquire) & DONE == 0 {
                return Ok(None);
            }
            // It may have come as far since.
            state = status.load(Ordering::Acquire);
            if state & DONE == 0 {
                return Err(Broken::Order);
            }
        }
        let length = match kind {
            Kind::Send => 0,
            Kind::Receive => {
                let (found, most) =
                    (length.load(Ordering::Relaxed) & 0xffff, self.lengths[place % SIZE as usize].into());
                if state & ENDS == 0 {
                    return Err(Broken::Unended);
                }
                if found == 0 || found > most {
                    return Err(Broken::Length);
                }
                if state & ERRORS == 0 { found } else { 0 }
            }
        };
        (self.first, self.count) = ((self.first + 1) % SIZE, self.count - 1);
        Ok(Some(Completion { token: self.tokens[place % SIZE as usize], reserved: 0, length }))
    }
}

/// Returns the words of a descriptor.
fn words<'memory>(kind: Kind, bytes: SharedBytes<'memory>, place: u32) -> Option<[&'memory AtomicU32; 4]> {
    let start = (kind.offset() + place % SIZE * DESCRIPTOR_BYTES) as usize;
    let word = |number: usize| bytes.atomic_u32(start + number * 4);
    Some([word(0)?, word(1)?, word(2)?, word(3)?])
}
