//! Recordings of calls: inputs, services and results, as messages of a kernel and as a file.

use alloc::string::String;
use alloc::vec::Vec;

use bareflow_abi::checksum::crc32c;
use serde::{Deserialize, Serialize};

/// The magic at the start of a file.
pub const MAGIC: [u8; 6] = *b"BFrec\0";

/// The version of the file format.
pub const VERSION: u16 = 1;

/// The size of the header in bytes: magic, version, and the CRC-32C of the payload.
const HEADER_SIZE: usize = 12;

/// The maximum size of a file, in bytes.
pub const MAX_FILE: usize = 16 << 20;

/// A recording of all calls of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recording {
    /// The modules that were called.
    pub modules: Vec<RecordedModule>,
    /// The calls, in the order in which they began: a call made by a module comes after its caller's.
    pub calls: Vec<RecordedCall>,
    /// Whether there were more calls than the recording had room for.
    pub cut: bool,
}

/// A module of a recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedModule {
    /// The module's name.
    pub name: String,
    /// The module's version.
    pub version: String,
    /// The size of its blob, in bytes.
    pub blob_size: u64,
    /// The x86-64 level of the code that ran.
    pub cpu_level: u8,
    /// The size of its heap, in bytes.
    pub heap: u32,
    /// The size of its stack, in bytes.
    pub stack: u32,
}

/// A call of a module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedCall {
    /// The module's name.
    pub module: String,
    /// The reason of the call, as its entry got it: the number of a [`Reason`](bareflow_abi::Reason), or a function's.
    pub reason: u32,
    /// The input of the call; of a method's, the packed form of its frame: its input, then its output.
    pub input: Vec<u8>,
    /// The capacity of the output buffer, in bytes; 0 for a method's.
    pub capacity: u32,
    /// The services that it called, in order.
    pub events: Vec<Event>,
    /// The end of the call.
    pub end: End,
}

/// A call of a service, and its result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// The module logged this line.
    Log(Vec<u8>),
    /// The module read this time.
    Clock(u64),
    /// The module called another module.
    Call {
        /// The name that it passed.
        name: Vec<u8>,
        /// The input that it passed.
        input: Vec<u8>,
        /// The capacity of its output buffer, in bytes.
        capacity: u32,
        /// The status: 0, or the number of a [`CallRefusal`](bareflow_abi::CallRefusal).
        status: u32,
        /// The result of the callee.
        result: i32,
        /// The output of the callee.
        output: Vec<u8>,
    },
    /// The module called a method of an import.
    Invoke {
        /// The import's number.
        import: u32,
        /// The method's number in the interface, as the module knows it.
        method: u32,
        /// The packed form of the frame: its input, then its output.
        frame: Vec<u8>,
        /// The status of the reply: the number of a [`Status`](bareflow_abi::interface::Status).
        status: u64,
        /// The changes of the call to the frame: [`Frame::save_results`](bareflow_abi::interface::Frame::save_results).
        results: Vec<u8>,
    },
}

/// The end of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// The call returned.
    Returned {
        /// The module's result; of a method, the status of the reply.
        result: i32,
        /// The module's output; of a method, what the call did to the frame.
        output: Vec<u8>,
    },
    /// The call faulted.
    Faulted {
        /// The fault's kind.
        kind: String,
        /// The offset of the faulting instruction from the image's base.
        offset: Option<u64>,
    },
    /// There was no memory for the call.
    NoMemory,
}

/// Bytes that are no recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadRecording {
    /// There are fewer bytes than a header has, or more than a file may have.
    #[error("{found} bytes, expected {HEADER_SIZE} to {MAX_FILE}; record it anew with `boot --record`")]
    Length {
        /// The number of bytes.
        found: usize,
    },
    /// The magic is wrong.
    #[error("no recording: it opens with other bytes; name a file of `boot --record`")]
    Magic,
    /// The version of the format is unknown.
    #[error("a recording of form {found}, expected {VERSION}; record it anew with `boot --record`")]
    Version {
        /// The version that was found.
        found: u16,
    },
    /// The bytes were changed.
    #[error("checksum mismatch: the recording says {expected:#010x}, computed {found:#010x}; copy it again")]
    Checksum {
        /// The checksum of the payload as it is.
        found: u32,
        /// The checksum in the file.
        expected: u32,
    },
    /// The payload can't be decoded.
    #[error("its bytes spell no recording; record it anew with `boot --record`")]
    Payload,
}

impl Recording {
    /// Encodes the recording as a file; `None` if it exceeds [`MAX_FILE`] bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        let payload = postcard::to_allocvec(self).ok()?;
        let bytes = [&MAGIC[..], &VERSION.to_le_bytes(), &crc32c(&[&payload]).to_le_bytes(), &payload].concat();
        (bytes.len() <= MAX_FILE).then_some(bytes)
    }

    /// Decodes the recording in a file. The checks come in this order: length, magic, version, checksum, payload.
    ///
    /// # Errors
    /// The first check that fails.
    pub fn from_bytes(bytes: &[u8]) -> Result<Recording, BadRecording> {
        let length = BadRecording::Length { found: bytes.len() };
        let (header, payload) = bytes.split_first_chunk::<HEADER_SIZE>().ok_or(length)?;
        let [magic @ .., a, b, c, d, e, f] = *header;
        if magic != MAGIC {
            return Err(BadRecording::Magic);
        }
        let found = u16::from_le_bytes([a, b]);
        if found != VERSION {
            return Err(BadRecording::Version { found });
        }
        if bytes.len() > MAX_FILE {
            return Err(length);
        }
        let (expected, found) = (u32::from_le_bytes([c, d, e, f]), crc32c(&[payload]));
        if found != expected {
            return Err(BadRecording::Checksum { found, expected });
        }
        match postcard::take_from_bytes(payload) {
            Ok((recording, [])) => Ok(recording),
            _ => Err(BadRecording::Payload),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    fn recording() -> Recording {
        let module = RecordedModule {
            name: "echo".into(),
            version: "0.1.0".into(),
            blob_size: 9,
            cpu_level: 1,
            heap: 0,
            stack: 8192,
        };
        let call =
            Event::Call { name: [1].into(), input: [2].into(), capacity: 3, status: 0, result: -1, output: [4].into() };
        let call = RecordedCall {
            module: "echo".into(),
            reason: 0,
            input: [5].into(),
            capacity: 6,
            events: [Event::Log([7].into()), Event::Clock(u64::MAX), call].into(),
            end: End::Returned { result: 8, output: [9].into() },
        };
        let fault = RecordedCall { end: End::Faulted { kind: "panic".into(), offset: Some(1) }, ..call.clone() };
        Recording { modules: [module].into(), calls: [call, fault].into(), cut: true }
    }

    #[test]
    fn reads_what_it_writes() {
        let bytes = recording().to_bytes().unwrap();
        assert_eq!(Recording::from_bytes(&bytes), Ok(recording()));
    }

    #[test]
    fn rejects_every_bit_flip_and_truncation() {
        let bytes = recording().to_bytes().unwrap();
        for length in 0..bytes.len() {
            assert!(Recording::from_bytes(&bytes[..length]).is_err(), "{length}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Recording::from_bytes(&flipped).is_err(), "{bit}");
        }
    }

    #[test]
    fn rejects_what_is_none_and_says_why() {
        let bytes = recording().to_bytes().unwrap();
        let error = |at: usize, value: u8| {
            let mut bytes = bytes.clone();
            bytes[at] = value;
            Recording::from_bytes(&bytes).unwrap_err()
        };
        assert_eq!(Recording::from_bytes(b"short"), Err(BadRecording::Length { found: 5 }));
        assert_eq!(error(0, 0), BadRecording::Magic);
        assert_eq!(error(6, 2), BadRecording::Version { found: 2 });
        assert_eq!(error(6, 2).to_string(), "a recording of form 2, expected 1; record it anew with `boot --record`");
        assert!(matches!(error(8, !bytes[8]), BadRecording::Checksum { .. }));
        let mut longer = recording().to_bytes().unwrap();
        longer.push(0);
        let checksum = crc32c(&[&longer[HEADER_SIZE..]]);
        longer[8..12].copy_from_slice(&checksum.to_le_bytes());
        assert_eq!(Recording::from_bytes(&longer), Err(BadRecording::Payload));
    }

    proptest! {
        #[test]
        fn no_payload_makes_it_panic(payload in prop::collection::vec(any::<u8>(), 0..200)) {
            let bytes = [&MAGIC[..], &VERSION.to_le_bytes(), &crc32c(&[&payload]).to_le_bytes(), &payload].concat();
            let _ = Recording::from_bytes(&bytes);
        }
    }
}
