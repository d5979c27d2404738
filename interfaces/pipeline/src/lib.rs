//! The interface `stage`: a stage of a pipeline, which takes a stream out of memory that it shares with the stage before.
//!
//! Three modules of the gallery are a pipeline: `pipe-source`, `pipe-hash` and `pipe-sink`. Between two of them lies a
//! [`Link`], in a region that belongs to the first: a ring of chunks, each the index of a buffer, a ring of the indices that
//! come back, and the buffers. Neither side believes what it finds there.

#![no_std]
#![forbid(unsafe_code)]

use bareflow_abi::shared::{OutOfBounds, PoolError, RingError, SharedBytes};
use bareflow_abi::{CallError, Failure, Plain, interface};
use bareflow_regions::RegionError;

/// A stage that takes a stream.
#[interface(version = "1.0")]
pub trait Stage {
    /// Begins a stream, whose chunks come by the link in `region`, which is lent to the stage as shared memory.
    fn begin(&mut self, region: u32) -> Result<(), StageError>;

    /// Takes all chunks that have come, and gives their buffers back.
    fn advance(&mut self) -> Result<(), StageError>;
}

/// The number of a link's buffers.
pub const BUFFERS: u32 = 16;

/// The size of a buffer, in bytes: a packet.
pub const BUFFER_BYTES: usize = 1500;

/// The distance from one buffer to the next, in bytes: whole words.
const STRIDE: usize = BUFFER_BYTES.next_multiple_of(8);

/// The size of each of the two rings, with room for all buffers, and the end of the stream.
const RING_BYTES: usize = bareflow_abi::shared::ring_bytes::<Chunk>(2 * BUFFERS as usize);

/// The size of a link, in bytes.
pub const LINK_BYTES: usize = 2 * RING_BYTES + BUFFERS as usize * STRIDE;

/// A chunk of a stream.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Plain)]
pub struct Chunk {
    /// The index of the buffer that it lies in.
    pub buffer: u32,
    /// The length, in bytes.
    pub length: u32,
}

impl Chunk {
    /// The end of the stream, which lies in no buffer.
    pub const END: Chunk = Chunk { buffer: u32::MAX, length: 0 };
}

/// The memory between two stages.
#[derive(Clone, Copy, Debug)]
pub struct Link<'memory> {
    /// The ring of [`Chunk`]s, to the next stage.
    pub chunks: SharedBytes<'memory>,
    /// The ring of the indices of buffers that come back.
    pub returned: SharedBytes<'memory>,
    buffers: SharedBytes<'memory>,
}

impl<'memory> Link<'memory> {
    /// Returns the link in a region.
    ///
    /// # Errors
    /// The region is too small.
    pub fn of(bytes: SharedBytes<'memory>) -> Result<Link<'memory>, StageError> {
        let part = |offset, length| bytes.part(offset, length).ok_or(StageError::BadLink);
        Ok(Link {
            chunks: part(0, RING_BYTES)?,
            returned: part(RING_BYTES, RING_BYTES)?,
            buffers: part(2 * RING_BYTES, BUFFERS as usize * STRIDE)?,
        })
    }

    /// Returns the bytes of a chunk.
    ///
    /// # Errors
    /// There is no such buffer, or it has fewer bytes.
    pub fn bytes_of(&self, chunk: Chunk) -> Result<SharedBytes<'memory>, StageError> {
        let length = (chunk.length as usize).min(BUFFER_BYTES + 1);
        let whole = self.buffers.buffer(chunk.buffer, STRIDE).and_then(|buffer| buffer.part(0, BUFFER_BYTES));
        whole.and_then(|buffer| buffer.part(0, length)).ok_or(StageError::BadChunk)
    }
}

/// An error of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Failure)]
pub enum StageError {
    /// The region with the link is not there, or is too small.
    BadLink,
    /// The other side's rings or buffers are not as they have to be.
    BadChunk,
    /// The other stage gives no buffer back.
    Stalled,
    /// The call gave no answer.
    #[call_error]
    Call(CallError),
}

impl From<RegionError> for StageError {
    fn from(error: RegionError) -> StageError {
        if let RegionError::Call(error) = error { StageError::Call(error) } else { StageError::BadLink }
    }
}

impl From<RingError> for StageError {
    fn from(error: RingError) -> StageError {
        match error {
            RingError::TooSmall => StageError::BadLink,
            RingError::Full => StageError::Stalled,
            RingError::BadIndex => StageError::BadChunk,
        }
    }
}

impl From<PoolError> for StageError {
    fn from(_: PoolError) -> StageError {
        StageError::BadChunk
    }
}

impl From<OutOfBounds> for StageError {
    fn from(_: OutOfBounds) -> StageError {
        StageError::BadChunk
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_no_chunk_beyond_a_buffer() {
        let mut memory = [0; LINK_BYTES];
        let link = Link::of(SharedBytes::new(&mut memory)).unwrap();
        for (buffer, length) in [(0, 0), (BUFFERS - 1, BUFFER_BYTES as u32)] {
            assert_eq!(link.bytes_of(Chunk { buffer, length }).unwrap().len(), length as usize);
        }
        for (buffer, length) in [(0, BUFFER_BYTES as u32 + 1), (0, u32::MAX), (BUFFERS, 0), (u32::MAX, 0)] {
            assert_eq!(link.bytes_of(Chunk { buffer, length }).err(), Some(StageError::BadChunk), "{buffer} {length}");
        }
        let mut short = [0; LINK_BYTES - 1];
        assert_eq!(Link::of(SharedBytes::new(&mut short)).err(), Some(StageError::BadLink));
    }
}
