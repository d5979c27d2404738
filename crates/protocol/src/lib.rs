//! The protocol between a running kernel and its host.
//!
//! [`Message`]s travel in [`frame`]s over a byte stream (a serial port or a socket). The [`Report`] is the result of a
//! run; the host writes it as JSON, the kernel only sends it.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod campaign;
pub mod comparison;
pub mod control;
pub mod frame;
pub mod options;
pub mod recording;
pub mod report;
pub mod self_check;
pub mod tier;
pub mod trace;

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

pub use campaign::Injection;
pub use control::{Envelope, Request, Response};
pub use frame::{Decoder, FrameError, HEAD, encode_frame, write_frame};
pub use options::KernelOptions;
pub use report::Report;
pub use self_check::FaultTable;

/// A message from the kernel to the host.
#[expect(clippy::large_enum_variant, reason = "a box would be memory that the kernel may not have")]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Message {
    /// The run is over.
    Report(Report),
    /// The result of a self-check.
    Faults(FaultTable),
    /// The result of an injected fault.
    Injection(Injection),
    /// The response to a client's request, with the request's number.
    Response(u64, Response),
    /// A call in a recorded run: one message for each call, in order, before the report.
    Recorded(recording::RecordedCall),
    /// The modules of a recording, after its calls, and whether there were more calls than it had room for.
    RecordedModules(Vec<recording::RecordedModule>, bool),
}

impl Message {
    /// Encodes the message as a frame; empty if it is too long for a frame, which no report is.
    #[must_use]
    pub fn to_frame(&self) -> Vec<u8> {
        let mut frame = Vec::new();
        // If it fails, the frame is empty.
        let _ = write_frame(&mut frame, self, usize::MAX);
        frame
    }

    /// Decodes the message in a frame's payload.
    ///
    /// # Errors
    /// [`FrameError::Payload`] if it is no message, or has bytes left over.
    pub fn from_payload(payload: &[u8]) -> Result<Message, FrameError> {
        match postcard::take_from_bytes(payload) {
            Ok((message, [])) => Ok(message),
            _ => Err(FrameError::Payload { length: payload.len() }),
        }
    }
}
