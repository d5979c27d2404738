//! The second stage of a pipeline: hashes the stream by SHA-256, and sends the hash to `pipe-sink`.

#![no_std]
#![forbid(unsafe_code)]

use bareflow_abi::shared::{Consumer, Pool, Producer};
use bareflow_pipeline::{BUFFERS, Chunk, LINK_BYTES, Link, Stage, StageError};
use bareflow_regions::{Access, Regions};
use sha2::digest::common::hazmat::SerializableState;
use sha2::{Digest, Sha256};

/// The size of a hash that is under way, in bytes.
const HASH_BYTES: usize = 104;

bareflow_abi::state! {
    /// The stream that is being hashed.
    pub struct Hash {
        /// The region of the link that it comes by, and the positions in its two rings.
        input: u32 = 0,
        input_chunks: u64 = 0,
        input_returned: u64 = 0,
        /// The hash of what has come.
        hash: [u8; HASH_BYTES] = [0; HASH_BYTES],
        /// The region of the link to the next stage, the positions in its rings, and its buffers that are taken.
        output: u32 = 0,
        output_chunks: u64 = 0,
        output_returned: u64 = 0,
        taken: [u64; 1] = [0; 1],
    }
}

bareflow_abi::module!(state = Hash, imports = { regions: Regions, next: Stage }, exports = [Stage], provider = Server);

impl Stage for Server<'_> {
    fn begin(&mut self, region: u32) -> Result<(), StageError> {
        let Server { state, imports: Imports { regions, next }, .. } = self;
        (state.input, state.input_chunks, state.input_returned) = (region, 0, 0);
        state.hash = Sha256::new().serialize().into();
        // The link to the next stage stays as long as both. After the end of either it is made anew.
        if regions.shared(state.output).is_err() {
            // If there still is one, no one else has it.
            _ = regions.destroy(state.output);
            let output = regions.create(LINK_BYTES as u64)?;
            regions.lend(output, "pipe-sink", Access::Shared)?;
            next.begin(output)?;
            (state.output, state.output_chunks, state.output_returned, state.taken) = (output, 0, 0, [0; 1]);
        }
        Ok(())
    }

    fn advance(&mut self) -> Result<(), StageError> {
        let input = self.imports.regions.shared(self.state.input)?;
        let link = Link::of(input.bytes())?;
        let mut chunks = Consumer::<Chunk>::new(link.chunks, self.state.input_chunks)?;
        let mut returned = Producer::new(link.returned, self.state.input_returned)?;
        let mut hash = Sha256::deserialize(&self.state.hash.into()).map_err(|_| StageError::BadLink)?;
        while let Some(chunk) = chunks.pop()? {
            if chunk == Chunk::END {
                self.send(&hash.finalize_reset().into())?;
                continue;
            }
            let bytes = link.bytes_of(chunk)?;
            let mut block = [0; 64];
            for offset in (0..bytes.len()).step_by(block.len()) {
                let block = &mut block[..(bytes.len() - offset).min(64)];
                bytes.read(offset, block)?;
                hash.update(block);
            }
            returned.push(chunk.buffer)?;
        }
        self.state.hash = hash.serialize().into();
        (self.state.input_chunks, self.state.input_returned) = (chunks.position(), returned.position());
        Ok(())
    }
}

impl Server<'_> {
    /// Sends a hash to the next stage.
    fn send(&mut self, hash: &[u8; 32]) -> Result<(), StageError> {
        let Server { state, imports: Imports { regions, next }, .. } = self;
        let output = regions.shared(state.output)?;
        let link = Link::of(output.bytes())?;
        let mut chunks = Producer::new(link.chunks, state.output_chunks)?;
        let mut returned = Consumer::new(link.returned, state.output_returned)?;
        let mut pool = Pool::new(&mut state.taken, BUFFERS);
        let chunk = Chunk { buffer: pool.take().ok_or(StageError::Stalled)?, length: 32 };
        link.bytes_of(chunk)?.write(0, hash)?;
        chunks.push(chunk)?;
        next.advance()?;
        while let Some(buffer) = returned.pop()? {
            pool.give(buffer)?;
        }
        (state.output_chunks, state.output_returned) = (chunks.position(), returned.position());
        Ok(())
    }
}
