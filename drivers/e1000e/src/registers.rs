//! The card's registers (10.2 of the datasheet), all of them in its first range.

use bareflow_device::{Device, DeviceError};

use crate::CARD;

/// The range with them.
const RANGE: u32 = 0;

/// The control of the card, with its bits: the link is set up, and the card is reset.
pub const CONTROL: u32 = 0x0000;
pub const LINK_UP: u32 = 1 << 6;
pub const RESET: u32 = 1 << 26;

/// The further control, with the bit by which a message masks its cause.
pub const CONTROL_MORE: u32 = 0x0018;
pub const MASKS_ITSELF: u32 = 1 << 24;

/// The causes of interrupts that are pending, those that are let through, those to take from these, and those that a message ends
/// and masks.
pub const PENDING: u32 = 0x00c0;
pub const LET_THROUGH: u32 = 0x00d0;
pub const MASK: u32 = 0x00d8;
pub const ENDS_ITSELF: u32 = 0x00dc;
pub const MASKED_ITSELF: u32 = 0x00e0;

/// The cause that a frame was received.
pub const RECEIVED: u32 = 1 << 20;

/// The vectors of the causes: here, the first one for frames that are received, and none for all others.
pub const VECTORS: u32 = 0x00e4;
pub const FIRST_FOR_RECEIVED: u32 = 1 << 3;

/// The control of receiving: on, all addresses and all groups as of virtio's card, broadcasts, and frames without their checksum
/// in buffers of 2 KiB. Longer frames than 1,522 bytes with it are dropped.
pub const RECEIVING: u32 = 0x0100;
pub const RECEIVES: u32 = 1 << 1 | 1 << 3 | 1 << 4 | 1 << 15 | 1 << 26;

/// The control of sending: on, short frames are padded, and the times for collisions that the datasheet wants; and the gaps
/// between frames, by the same.
pub const SENDING: u32 = 0x0400;
pub const SENDS: u32 = 1 << 1 | 1 << 3 | 0xf << 4 | 0x3f << 12;
pub const GAPS: u32 = 0x0410;
pub const USUAL_GAPS: u32 = 0x0060_2008;

/// The control of what the card works out of received frames: nothing, and descriptors are those of old.
pub const CHECKSUMS: u32 = 0x5000;
pub const FILTERS: u32 = 0x5008;

/// The table of groups, of 128 words.
pub const GROUPS: u32 = 0x5200;
pub const GROUP_WORDS: u32 = 128;

/// The first address, in two words, and the bit of the second that it is one.
pub const ADDRESS: [u32; 2] = [0x5400, 0x5404];
pub const IS_ADDRESS: u32 = 1 << 31;

/// The registers of a ring: its address in two words, its bytes, the first descriptor that is the card's, and the first that is not.
#[derive(Clone, Copy)]
pub struct RingRegisters {
    pub address: [u32; 2],
    pub length: u32,
    pub head: u32,
    pub tail: u32,
}

impl RingRegisters {
    /// Returns those from `base` on.
    pub const fn new(base: u32) -> RingRegisters {
        RingRegisters { address: [base, base + 4], length: base + 8, head: base + 0x10, tail: base + 0x18 }
    }
}

/// Reads a register.
pub fn read(device: &mut impl Device, register: u32) -> Result<u32, DeviceError> {
    Ok(device.read(CARD, RANGE, register, 4)? as u32)
}

/// Writes a register.
pub fn write(device: &mut impl Device, register: u32, value: u32) -> Result<(), DeviceError> {
    device.write(CARD, RANGE, register, 4, value.into())
}
