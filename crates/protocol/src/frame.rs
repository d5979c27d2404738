//! Frames: length, checksum, payload.
//!
//! A frame begins with a mark, so that a receiver that joins late or reads garbage finds the next frame.
//!
//! `postcard` can frame messages itself (COBS, with a checksum). There, a frame's length is known only at its end. A
//! kernel must know it at the start: it refuses what is too long before it arrives, and takes the memory for the rest at
//! once, or says that there is none.

use alloc::collections::TryReserveError;
use alloc::vec::Vec;

use bareflow_abi::checksum::crc32c;
use postcard::ser_flavors::Flavor;
use serde::Serialize;

/// The mark at the start of every frame.
pub const MARK: [u8; 4] = *b"BFm\x01";

/// The size of a frame's header, in bytes: mark, length and checksum.
const HEADER_SIZE: usize = 12;

/// The maximum length of a payload in bytes (16 MiB); a longer length is treated as garbage.
pub const MAX_PAYLOAD: usize = 16 << 20;

/// Bytes that are not a frame, or not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// There are bytes before a mark.
    #[error("{skipped} bytes that belong to no frame; is the other side BareFlow?")]
    Garbage {
        /// The number of bytes.
        skipped: usize,
    },
    /// The length is greater than the limit.
    #[error("frame of {found} bytes announced, expected at most {limit}")]
    Length {
        /// The length in the header.
        found: usize,
        /// The maximum length.
        limit: usize,
    },
    /// The payload was changed.
    #[error("frame checksum mismatch: sent {expected:#010x}, computed {found:#010x}; send it again")]
    Checksum {
        /// The checksum of the payload.
        found: u32,
        /// The checksum in the header.
        expected: u32,
    },
    /// The payload is no message.
    #[error("a payload of {length} bytes is no known message; do both sides have the same version?")]
    Payload {
        /// The length of the payload, in bytes.
        length: usize,
    },
    /// There was no memory for the bytes.
    #[error("no memory for {length} bytes; unload a module or give the system more memory")]
    NoMemory {
        /// The number of bytes.
        length: usize,
        /// The first bytes of the payload, padded with zeros: enough for a request's number.
        head: [u8; HEAD],
    },
}

/// The number of payload bytes that [`FrameError::NoMemory`] has: the longest encoded number.
pub const HEAD: usize = 10;

/// Encodes `payload` as a frame; `None` if it is too long.
#[must_use]
pub fn encode_frame(payload: &[u8]) -> Option<Vec<u8>> {
    let header = header_of(payload)?;
    Some([&header[..], payload].concat())
}

fn header_of(payload: &[u8]) -> Option<[u8; HEADER_SIZE]> {
    let length = u32::try_from(payload.len()).ok().filter(|_| payload.len() <= MAX_PAYLOAD)?.to_le_bytes();
    let checksum = crc32c(&[&length, payload]).to_le_bytes();
    let mut header = [0; HEADER_SIZE];
    header.iter_mut().zip([MARK, length, checksum].as_flattened()).for_each(|(target, byte)| *target = *byte);
    Some(header)
}

/// Encodes `message` into `frame`, replacing its contents, as a frame of at most `most` bytes.
///
/// If `most` is the capacity of `frame`, nothing is allocated.
///
/// # Errors
/// [`FrameError::Length`] if the frame would be longer, and [`FrameError::NoMemory`] if `frame` can't grow enough.
/// `frame` is empty then.
pub fn write_frame(frame: &mut Vec<u8>, message: &impl Serialize, most: usize) -> Result<(), FrameError> {
    frame.clear();
    let most = most.min(HEADER_SIZE + MAX_PAYLOAD);
    let mut refused = None;
    let header = [0; HEADER_SIZE];
    // Serialising our messages does not fail by itself.
    let _ = Growing { frame, most, refused: &mut refused }
        .try_extend(&header)
        .and_then(|()| postcard::serialize_with_flavor(message, Growing { frame, most, refused: &mut refused }));
    if let Some(error) = refused {
        frame.clear();
        return Err(error);
    }
    let header = frame.get(HEADER_SIZE..).and_then(header_of).unwrap_or(header);
    if let Some(target) = frame.first_chunk_mut() {
        *target = header;
    }
    Ok(())
}

/// A frame that grows as long as there is memory, up to a maximum length.
struct Growing<'frame> {
    frame: &'frame mut Vec<u8>,
    most: usize,
    /// The reason for which it could not grow.
    refused: &'frame mut Option<FrameError>,
}

impl Flavor for Growing<'_> {
    type Output = ();

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        let length = self.frame.len();
        let room = self.most.saturating_sub(length);
        // Grows by at least half its length, so that a long frame is not copied for each of its bytes.
        let more = bytes.len().max(length / 2).min(room);
        let refused = if bytes.len() > room {
            let (found, limit) = (length + bytes.len(), self.most);
            Some(FrameError::Length {
                found: found.saturating_sub(HEADER_SIZE),
                limit: limit.saturating_sub(HEADER_SIZE),
            })
        } else if bytes.len() > self.frame.capacity() - length && self.frame.try_reserve_exact(more).is_err() {
            Some(FrameError::NoMemory { length: length + bytes.len(), head: [0; HEAD] })
        } else {
            None
        };
        if refused.is_some() {
            *self.refused = refused;
            return Err(postcard::Error::SerializeBufferFull);
        }
        self.frame.extend_from_slice(bytes);
        Ok(())
    }

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.try_extend(&[byte])
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// A decoder that finds the frames in a stream of bytes.
#[derive(Clone, Debug)]
pub struct Decoder {
    received: Vec<u8>,
    /// The start of the bytes in `received` that have not been decoded yet.
    start: usize,
    limit: usize,
    /// The number of bytes for which there was no memory.
    lost: usize,
}

impl Default for Decoder {
    fn default() -> Decoder {
        Decoder::new()
    }
}

impl Decoder {
    /// Creates a decoder at the start of a stream.
    #[must_use]
    pub const fn new() -> Decoder {
        Decoder::with_limit(MAX_PAYLOAD)
    }

    /// Creates a decoder that accepts payloads of at most `limit` bytes.
    #[must_use]
    pub const fn with_limit(limit: usize) -> Decoder {
        Decoder { received: Vec::new(), start: 0, limit, lost: 0 }
    }

    /// Reserves memory for the longest frame, and for a piece of `piece` bytes after it.
    ///
    /// Pushes of at most that size allocate nothing more if [`next_payload`](Self::next_payload) is called after each
    /// until it returns `None`.
    ///
    /// # Errors
    /// There is not enough memory.
    pub fn reserve(&mut self, piece: usize) -> Result<(), TryReserveError> {
        // Twice the length, since decoded bytes are removed only now and then.
        self.received.try_reserve_exact(2 * (HEADER_SIZE + self.limit + piece))
    }

    /// Adds bytes as they arrive.
    ///
    /// Bytes for which there is no memory are lost, with the frame that they belong to;
    /// [`next_payload`](Self::next_payload) reports it.
    pub fn push(&mut self, bytes: &[u8]) {
        // Decoded bytes are removed seldom enough that each byte is moved at most once for each byte that arrives.
        if self.start > self.received.len() / 2 {
            self.received.drain(..self.start);
            self.start = 0;
        }
        if self.received.try_reserve(bytes.len()).is_err() {
            self.lost += self.rest().len() + bytes.len();
            (self.received, self.start) = (Vec::new(), 0);
            return;
        }
        self.received.extend_from_slice(bytes);
    }

    /// Returns the next payload, or the error in its place; `None` until more bytes arrive.
    pub fn next_payload(&mut self) -> Option<Result<Vec<u8>, FrameError>> {
        if self.lost > 0 {
            return Some(Err(FrameError::NoMemory { length: core::mem::take(&mut self.lost), head: [0; HEAD] }));
        }
        let skipped = find_mark(self.rest());
        if skipped > 0 {
            self.start += skipped;
            return Some(Err(FrameError::Garbage { skipped }));
        }
        let header = self.rest().first_chunk::<HEADER_SIZE>()?;
        let [_, _, _, _, a, b, c, d, e, f, g, h] = *header;
        let expected = u32::from_le_bytes([e, f, g, h]);
        let length = usize::try_from(u32::from_le_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        if length > self.limit {
            self.start += MARK.len();
            return Some(Err(FrameError::Length { found: length, limit: self.limit }));
        }
        let payload = self.rest().get(HEADER_SIZE..HEADER_SIZE + length)?;
        let found = crc32c(&[&[a, b, c, d], payload]);
        if found != expected {
            // The length may be wrong, so the search continues right after the mark.
            self.start += MARK.len();
            return Some(Err(FrameError::Checksum { found, expected }));
        }
        let mut copy = Vec::new();
        let room = copy.try_reserve_exact(length);
        let payload = match room {
            Ok(()) => {
                copy.extend_from_slice(payload);
                Ok(copy)
            }
            Err(_) => {
                let mut head = [0; HEAD];
                head.iter_mut().zip(payload).for_each(|(target, byte)| *target = *byte);
                Err(FrameError::NoMemory { length, head })
            }
        };
        self.start += HEADER_SIZE + length;
        Some(payload)
    }

    /// Returns the number of bytes that wait for the rest of their frame. At the end of the stream they are left over.
    #[must_use]
    pub fn unfinished(&self) -> usize {
        self.rest().len()
    }

    /// Gives up the frame that waits for its rest: the search continues right after its mark.
    pub fn give_up(&mut self) {
        self.start += self.rest().len().min(MARK.len());
    }

    fn rest(&self) -> &[u8] {
        self.received.get(self.start..).unwrap_or_default()
    }
}

/// Returns the index of the next mark, or of its possible start at the end of `bytes`.
fn find_mark(bytes: &[u8]) -> usize {
    let could_begin = |&start: &usize| {
        let there = bytes.get(start..).unwrap_or_default();
        let compared = there.len().min(MARK.len());
        there.get(..compared) == MARK.get(..compared)
    };
    (0..bytes.len()).find(could_begin).unwrap_or(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use proptest::prelude::*;

    #[test]
    fn finds_a_frame_that_comes_byte_by_byte() {
        let mut decoder = Decoder::new();
        let frame = encode_frame(b"payload").unwrap();
        for &byte in &frame[..frame.len() - 1] {
            decoder.push(&[byte]);
            assert_eq!(decoder.next_payload(), None);
        }
        assert_eq!(decoder.unfinished(), frame.len() - 1);
        let mut impatient = decoder.clone();
        impatient.give_up();
        impatient.push(&frame);
        assert!(matches!(impatient.next_payload(), Some(Err(FrameError::Garbage { .. }))));
        assert_eq!(impatient.next_payload(), Some(Ok(b"payload".to_vec())));
        decoder.push(&frame[frame.len() - 1..]);
        assert_eq!(decoder.next_payload(), Some(Ok(b"payload".to_vec())));
        assert_eq!(decoder.next_payload(), None);
    }

    #[test]
    fn rejects_a_changed_payload_and_goes_on() {
        let mut bytes = encode_frame(b"first").unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        bytes.extend(encode_frame(b"second").unwrap());
        let mut decoder = Decoder::new();
        decoder.push(&bytes);
        assert!(matches!(decoder.next_payload(), Some(Err(FrameError::Checksum { .. }))));
        assert!(matches!(decoder.next_payload(), Some(Err(FrameError::Garbage { .. }))));
        assert_eq!(decoder.next_payload(), Some(Ok(b"second".to_vec())));
    }

    #[test]
    fn writes_the_frame_that_would_be_encoded() {
        let mut frame = b"what was there".to_vec();
        write_frame(&mut frame, &("text", 7_u64), usize::MAX).unwrap();
        assert_eq!(frame, encode_frame(&postcard::to_allocvec(&("text", 7_u64)).unwrap()).unwrap());
        let long = write_frame(&mut frame, &"x".repeat(MAX_PAYLOAD), usize::MAX);
        assert!(matches!(long, Err(FrameError::Length { limit: MAX_PAYLOAD, .. })) && frame.is_empty());
        let mut short = Vec::with_capacity(100);
        let (capacity, at) = (short.capacity(), short.as_ptr());
        assert!(write_frame(&mut short, &"x".repeat(capacity - HEADER_SIZE - 1), capacity).is_ok());
        let long = write_frame(&mut short, &"x".repeat(capacity - HEADER_SIZE), capacity);
        assert!(matches!(long, Err(FrameError::Length { .. })) && short.is_empty());
        assert_eq!((short.capacity(), short.as_ptr()), (capacity, at));
    }

    #[test]
    fn takes_no_memory_for_what_it_reserved_some_for() {
        let mut decoder = Decoder::with_limit(1000);
        decoder.reserve(64).unwrap();
        let (at, capacity) = (decoder.received.as_ptr(), decoder.received.capacity());
        let frames = [vec![1; 1000], vec![2; 7], vec![3; 999]].map(|payload| encode_frame(&payload).unwrap());
        for piece in frames.concat().repeat(20).chunks(64) {
            decoder.push(piece);
            while let Some(payload) = decoder.next_payload() {
                assert!(payload.is_ok());
            }
        }
        assert_eq!((decoder.received.as_ptr(), decoder.received.capacity()), (at, capacity));
    }

    #[test]
    fn rejects_an_impossible_length() {
        let mut decoder = Decoder::new();
        decoder.push(&[&MARK[..], &[0xff; 8]].concat());
        assert_eq!(
            decoder.next_payload(),
            Some(Err(FrameError::Length { found: u32::MAX as usize, limit: MAX_PAYLOAD }))
        );
    }

    proptest! {
        #[test]
        fn a_frame_behind_any_garbage_is_found(garbage in prop::collection::vec(any::<u8>(), 0..64), payload: Vec<u8>) {
            // Garbage that looks like a header would make the decoder wait for its payload.
            prop_assume!(!garbage.contains(&MARK[0]));
            let mut decoder = Decoder::new();
            decoder.push(&garbage);
            decoder.push(&encode_frame(&payload).unwrap());
            let found = core::iter::from_fn(|| decoder.next_payload()).find_map(Result::ok);
            prop_assert_eq!(found, Some(payload));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let mut decoder = Decoder::new();
            decoder.push(&bytes);
            for payload in core::iter::from_fn(|| decoder.next_payload()).flatten() {
                let _ = crate::Message::from_payload(&payload);
            }
            let _ = crate::Message::from_payload(&bytes);
        }
    }
}
