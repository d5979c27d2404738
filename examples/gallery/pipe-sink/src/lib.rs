//! The last stage of a pipeline: keeps the last chunk that came, and the number of chunks.

#![no_std]
#![forbid(unsafe_code)]

use bareflow_abi::Context;
use bareflow_abi::shared::{Consumer, Producer};
use bareflow_pipeline::{Chunk, Link, Stage, StageError};
use bareflow_regions::Regions;

bareflow_abi::state! {
    /// The last chunk.
    pub struct Sink {
        /// The region of the link, and the positions in its two rings.
        region: u32 = 0,
        chunks: u64 = 0,
        returned: u64 = 0,
        /// The number of chunks, and the last one, of which the first bytes are kept.
        count: u32 = 0,
        length: u32 = 0,
        last: [u8; 32] = [0; 32],
    }
}

bareflow_abi::module!(state = Sink, imports = { regions: Regions }, exports = [last, Stage], provider = Server);

/// Writes the last chunk, as far as it was kept, and returns the number of chunks.
pub fn last(context: &mut Context<'_>, sink: &mut Sink) -> i32 {
    context.write(&sink.last[..sink.length as usize]);
    sink.count as i32
}

impl Stage for Server<'_> {
    fn begin(&mut self, region: u32) -> Result<(), StageError> {
        (self.state.region, self.state.chunks, self.state.returned) = (region, 0, 0);
        Ok(())
    }

    fn advance(&mut self) -> Result<(), StageError> {
        let sink = &mut *self.state;
        let region = self.imports.regions.shared(sink.region)?;
        let link = Link::of(region.bytes())?;
        let mut chunks = Consumer::<Chunk>::new(link.chunks, sink.chunks)?;
        let mut returned = Producer::new(link.returned, sink.returned)?;
        while let Some(chunk) = chunks.pop()? {
            let bytes = link.bytes_of(chunk)?;
            let length = bytes.len().min(sink.last.len());
            bytes.read(0, &mut sink.last[..length])?;
            (sink.count, sink.length) = (sink.count.wrapping_add(1), length as u32);
            returned.push(chunk.buffer)?;
        }
        (sink.chunks, sink.returned) = (chunks.position(), returned.position());
        Ok(())
    }
}
