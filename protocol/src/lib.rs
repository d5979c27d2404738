//! What a running kernel and its host say to each other.
//!
//! [`Message`]s travel in [`frame`]s over a byte stream (a serial port or a
//! socket). The [`Report`] is the result of a run; the host writes it as JSON,
//! the kernel only sends it.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod campaign;
pub mod comparison;
pub mod control;
pub mod faults;
pub mod frame;
pub mod recording;
pub mod report;

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

pub use campaign::Injection;
pub use control::{Envelope, Request, Response};
pub use faults::FaultTable;
pub use frame::{Decoder, FrameError, encode_frame, write_frame};
pub use report::Report;

/// One message from the kernel to the host.
#[expect(clippy::large_enum_variant, reason = "a box would be memory that the kernel may not have")]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Message {
    /// The run is over.
    Report(Report),
    /// The kernel checked itself.
    Faults(FaultTable),
    /// A module was disturbed.
    Injection(Injection),
    /// What a client asked for, with the number of its request.
    Response(u64, Response),
    /// A call of the run, where that is recorded: one message for each, in order, before the report.
    Recorded(recording::RecordedCall),
    /// The modules of a recording, behind its calls, and whether there were more calls than there was room for.
    RecordedModules(Vec<recording::RecordedModule>, bool),
}

impl Message {
    /// The message as a frame, ready to be sent; empty when it is longer than a
    /// frame can be, which no report is.
    #[must_use]
    pub fn to_frame(&self) -> Vec<u8> {
        let mut frame = Vec::new();
        // Where it fails it is empty.
        let _ = write_frame(&mut frame, self, usize::MAX);
        frame
    }

    /// The message in a frame's payload.
    ///
    /// # Errors
    /// [`FrameError::Payload`] when it is none, or has bytes left over.
    pub fn from_payload(payload: &[u8]) -> Result<Message, FrameError> {
        match postcard::take_from_bytes(payload) {
            Ok((message, [])) => Ok(message),
            _ => Err(FrameError::Payload { length: payload.len() }),
        }
    }
}
