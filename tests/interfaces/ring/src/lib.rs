//! The consumer of rings in shared memory, to measure them.

#![no_std]
#![forbid(unsafe_code)]

use bareflow_abi::interface;
use bareflow_abi::shared::ring_bytes;
use bareflow_regions::RegionError;

/// The number of elements that go through a ring at a time.
pub const ELEMENTS: usize = 256;

/// The number of buffers.
pub const BUFFERS: u32 = 16;

/// The size of a buffer, in bytes: a packet.
pub const BUFFER_BYTES: usize = 1500;

/// The distance from one buffer to the next, in bytes.
pub const STRIDE: usize = BUFFER_BYTES.next_multiple_of(8);

/// The size of a ring, in bytes.
pub const RING_BYTES: usize = ring_bytes::<u64>(ELEMENTS);

/// The size of two rings with the buffers, in bytes.
pub const REGION_BYTES: usize = 2 * RING_BYTES + BUFFERS as usize * STRIDE;

/// The consumer of rings.
#[interface(version = "1.0")]
pub trait Ring {
    /// Begins with two rings that nothing went through.
    fn begin(&mut self) -> Result<(), RegionError>;

    /// Pops all elements. Returns their sum.
    fn elements(&mut self, region: u32) -> Result<u64, RegionError>;

    /// Pops the indices of buffers, reads the first word of each, and pushes the indices to the other ring. Returns the sum.
    fn lent(&mut self, region: u32) -> Result<u64, RegionError>;

    /// Returns the first word.
    fn copied(&mut self, bytes: &[u8]) -> Result<u64, RegionError>;
}
