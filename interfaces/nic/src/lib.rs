//! The interface `nic`: a network card, which sends and receives Ethernet frames in memory of its user's.
//!
//! The user lends a region to the driver as shared memory, and [attaches](Nic::attach) it. A frame lies in one buffer of it,
//! without the checksum at its end. The driver publishes `received` when there is something to [receive](Nic::receive).
//! A card has one user at a time: the module that called [`begin`](Nic::begin) last. All others get [`NicError::NotYours`],
//! and all get [`NicError::Ended`] while it has none.

#![no_std]
#![forbid(unsafe_code)]

mod user;

use bareflow_abi::{CallError, Failure, Out, interface};
use bareflow_device::DeviceError;
pub use bareflow_device::{Buffer, Completion};

pub use user::User;

/// The length of the longest frame, in bytes: 1,500 behind a header with a tag.
pub const MAX_FRAME_BYTES: u32 = 1518;

/// The bytes that a buffer for a frame to be received has at least: cards write as many, if a longer frame comes.
pub const MIN_BUFFER_BYTES: u32 = 2048;

/// A network card.
#[interface(version = "1.0")]
pub trait Nic {
    /// Starts the card anew for the module that calls, and says its address. The card has no memory and no buffers then.
    fn begin(&mut self, address: &mut [u8]) -> Result<(), NicError>;

    /// Lets the card use a region that the module which calls has lent to the driver as shared memory. Returns the number
    /// of the memory, by which buffers name it.
    fn attach(&mut self, region: u32) -> Result<u32, NicError>;

    /// Gives the card buffers for frames that it receives, of [`MIN_BUFFER_BYTES`] at least, and appends those to `into` that
    /// frames were received into, with the lengths of those. If there is room left, `received` is published when the next one
    /// comes. Returns how many buffers the card took.
    ///
    /// Frames that were received before a driver was replaced come first, once the region that they lie in is attached
    /// again: whoever wants them collects them before the buffers are given again.
    fn receive(&mut self, empty: &[Buffer], into: &mut Out<'_, Completion>) -> Result<u32, NicError>;

    /// Sends frames, of [`MAX_FRAME_BYTES`] at most, and appends the buffers to `into` of those that were sent, before a driver was replaced as well.
    /// Returns how many the card took.
    fn send(&mut self, frames: &[Buffer], into: &mut Out<'_, Completion>) -> Result<u32, NicError>;
}

/// Checks buffers to receive into, for a driver.
///
/// # Errors
/// [`NicError::BadBuffer`] if one is shorter than [`MIN_BUFFER_BYTES`].
pub fn check_empty(buffers: &[Buffer]) -> Result<(), NicError> {
    let is_short = |buffer: &Buffer| buffer.length < MIN_BUFFER_BYTES;
    if buffers.iter().any(is_short) { Err(NicError::BadBuffer) } else { Ok(()) }
}

/// Checks frames to be sent, for a driver.
///
/// # Errors
/// [`NicError::BadBuffer`] if one is longer than [`MAX_FRAME_BYTES`].
pub fn check_frames(frames: &[Buffer]) -> Result<(), NicError> {
    let is_long = |frame: &Buffer| frame.length > MAX_FRAME_BYTES;
    if frames.iter().any(is_long) { Err(NicError::BadBuffer) } else { Ok(()) }
}

/// An error of a network card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Failure)]
pub enum NicError {
    /// The card does not work: it can't be started, or broke the rules.
    Failed,
    /// The card is not the caller's: another module began to use it since.
    NotYours,
    /// The driver was replaced, or the card broke the rules: the card has no memory and no buffers any more, and frames may
    /// be lost. [Begin](Nic::begin) again.
    Ended,
    /// The caller has not lent the region to the driver as shared memory, or there are too many.
    BadRegion,
    /// A buffer does not lie in its memory, crosses a page, or is too short to receive a frame, or too long for one to be sent.
    BadBuffer,
    /// The room for the address does not have six bytes.
    BadLength,
    /// The call gave no answer.
    #[call_error]
    Call(CallError),
}

impl From<DeviceError> for NicError {
    fn from(error: DeviceError) -> NicError {
        use DeviceError::{BadChain, CrossesPages, NoSuchMemory, NoSuchRegion, OutOfRange, TooMany, WrongAccess};
        match error {
            NoSuchRegion | WrongAccess | TooMany => NicError::BadRegion,
            OutOfRange | CrossesPages | BadChain | NoSuchMemory => NicError::BadBuffer,
            DeviceError::Call(error) => NicError::Call(error),
            _ => NicError::Failed,
        }
    }
}
