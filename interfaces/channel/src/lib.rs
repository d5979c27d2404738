//! The interface `channel`: the kernel's channel, by which clients push, call and list modules.
//!
//! A module that has connections to clients, by a network or otherwise, passes their bytes on: one *link* for each client. What
//! the bytes say is between the client and the kernel, which takes no request from a link before a token has come on it. The
//! kernel publishes `kernel.channel` when a link has more to [take](Channel::take), or more room to [put](Channel::put), than
//! was said last.
//!
//! A link is known by a number, never one that was in use before, and belongs to the module that opened it. The kernel ends
//! those of a module that was silent for a minute, those on which no token came within 5 s, and the oldest of those when there
//! is no place for another link.

#![no_std]
#![forbid(unsafe_code)]

use bareflow_abi::{CallError, Failure, Out, interface};

/// The kernel's channel.
#[interface(version = "1.0")]
pub trait Channel {
    /// Ends all links of the caller.
    fn begin(&mut self) -> Result<(), ChannelError>;

    /// Begins a link, and returns its number.
    fn open(&mut self) -> Result<u32, ChannelError>;

    /// Passes on what came from the client, no more than there is room for. Returns the room that is left, in bytes.
    fn put(&mut self, link: u32, bytes: &[u8]) -> Result<u32, ChannelError>;

    /// Forgets the first `sent` bytes of those for the client, as they are on their way, and appends what follows them.
    fn take(&mut self, link: u32, sent: u32, into: &mut Out<'_, u8>) -> Result<(), ChannelError>;

    /// Ends a link. What its client has begun and not finished is given up.
    fn close(&mut self, link: u32) -> Result<(), ChannelError>;
}

/// An error of the channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Failure)]
pub enum ChannelError {
    /// The kernel has no token, so it takes no clients by modules.
    NotAllowed,
    /// No link has this number.
    NoSuchLink,
    /// The link is another module's.
    NotYours,
    /// There are as many links with a token as there may be.
    TooMany,
    /// There are more bytes than room, or fewer than were said to be sent.
    OutOfRange,
    /// The kernel has ended the link, since a wrong token came on it, or 4 MiB of answers were not taken. Nothing is left to
    /// take.
    Ended,
    /// The call gave no answer.
    #[call_error]
    Call(CallError),
}
