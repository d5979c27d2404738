//! The first stage of a pipeline: sends its input, in buffers whose indices travel, to `pipe-hash`.

#![no_std]
#![forbid(unsafe_code)]

use bareflow_abi::shared::{Consumer, Pool, Producer};
use bareflow_abi::{Context, Failure};
use bareflow_pipeline::{BUFFER_BYTES, BUFFERS, Chunk, LINK_BYTES, Link, Stage, StageError};
use bareflow_regions::{Access, Regions};

bareflow_abi::module!(run, imports = { regions: Regions, next: Stage });

/// Sends the input. Returns the number of chunks, or the negative number of an error.
pub fn run(context: &mut Context<'_>, mut with: Imports<'_>) -> i32 {
    let sent = with.regions.create(LINK_BYTES as u64).map_err(StageError::from).and_then(|region| {
        let sent = send(context.input(), region, with);
        // Both fail only if the region is not lent, or still open there.
        let back = with.regions.take_back(region).and_then(|()| with.regions.destroy(region));
        sent.and_then(|sent| back.map(|()| sent).map_err(StageError::from))
    });
    sent.unwrap_or_else(|error| -(error.number() as i32))
}

fn send(input: &[u8], region: u32, mut with: Imports<'_>) -> Result<i32, StageError> {
    with.regions.lend(region, "pipe-hash", Access::Shared)?;
    with.next.begin(region)?;
    let view = with.regions.shared(region)?;
    let link = Link::of(view.bytes())?;
    let mut chunks = Producer::new(link.chunks, 0)?;
    let mut returned = Consumer::new(link.returned, 0)?;
    let mut taken = [0; 1];
    let mut pool = Pool::new(&mut taken, BUFFERS);
    let mut count = 0;
    for part in input.chunks(BUFFER_BYTES) {
        let buffer = match pool.take() {
            Some(buffer) => buffer,
            None => {
                with.next.advance()?;
                while let Some(buffer) = returned.pop()? {
                    pool.give(buffer)?;
                }
                pool.take().ok_or(StageError::Stalled)?
            }
        };
        let chunk = Chunk { buffer, length: part.len() as u32 };
        link.bytes_of(chunk)?.write(0, part)?;
        chunks.push(chunk)?;
        count += 1;
    }
    chunks.push(Chunk::END)?;
    with.next.advance()?;
    Ok(count)
}
