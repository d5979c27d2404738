//! Consumes rings in shared memory.

#![no_std]
#![forbid(unsafe_code)]

use bareflow_abi::CallError;
use bareflow_abi::shared::{Consumer, Producer, SharedBytes};
use bareflow_regions::{RegionError, Regions};
use ring_interface::{BUFFER_BYTES, RING_BYTES, Ring, STRIDE};

bareflow_abi::state! {
    /// The positions in both rings.
    pub struct Positions {
        there: u64 = 0,
        back: u64 = 0,
    }
}

bareflow_abi::module!(state = Positions, imports = { regions: Regions }, exports = [Ring], provider = Server);

/// Returns a part of the region.
fn part(bytes: SharedBytes<'_>, offset: usize, length: usize) -> Result<SharedBytes<'_>, RegionError> {
    bytes.part(offset, length).ok_or(RegionError::TooLarge)
}

fn bad<E>(_: E) -> RegionError {
    CallError::BadAnswer.into()
}

impl Ring for Server<'_> {
    fn begin(&mut self) -> Result<(), RegionError> {
        (self.state.there, self.state.back) = (0, 0);
        Ok(())
    }

    fn elements(&mut self, region: u32) -> Result<u64, RegionError> {
        let view = self.imports.regions.shared(region)?;
        let mut ring = Consumer::<u64>::new(part(view.bytes(), 0, RING_BYTES)?, self.state.there).map_err(bad)?;
        let mut sum = 0_u64;
        while let Some(element) = ring.pop().map_err(bad)? {
            sum = sum.wrapping_add(element);
        }
        self.state.there = ring.position();
        Ok(sum)
    }

    fn lent(&mut self, region: u32) -> Result<u64, RegionError> {
        let view = self.imports.regions.shared(region)?;
        let bytes = view.bytes();
        let mut there = Consumer::<u64>::new(part(bytes, 0, RING_BYTES)?, self.state.there).map_err(bad)?;
        let mut back = Producer::<u64>::new(part(bytes, RING_BYTES, RING_BYTES)?, self.state.back).map_err(bad)?;
        let buffers = part(bytes, 2 * RING_BYTES, bytes.len() - 2 * RING_BYTES)?;
        let mut sum = 0_u64;
        while let Some(index) = there.pop().map_err(bad)? {
            let buffer = buffers.buffer(index as u32, STRIDE).and_then(|buffer| buffer.part(0, BUFFER_BYTES));
            sum = sum.wrapping_add(buffer.ok_or(RegionError::TooLarge)?.get::<u64>(0).map_err(bad)?);
            back.push(index).map_err(bad)?;
        }
        (self.state.there, self.state.back) = (there.position(), back.position());
        Ok(sum)
    }

    fn copied(&mut self, bytes: &[u8]) -> Result<u64, RegionError> {
        Ok(bytes.first_chunk().map_or(0, |word| u64::from_le_bytes(*word)))
    }
}
