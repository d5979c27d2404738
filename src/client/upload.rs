//! Uploads of blobs to a kernel, which keeps them for the next request of the same client.

use anyhow::{Context, Result, ensure};
use bareflow_abi::checksum::crc32c;
use bareflow_protocol::{Request, Response};

use super::{Client, unexpected};

/// The number of consecutive responses without progress after which an upload fails.
const MAX_STALLS: u32 = 8;

/// Uploads a blob in chunks; the next request can use it.
///
/// `progress` is given the bytes received and the total.
///
/// # Errors
/// When the kernel refuses it or is lost.
pub fn upload(client: &mut Client, blob: &[u8], progress: &mut dyn FnMut(u64, u64)) -> Result<()> {
    let length = u32::try_from(blob.len())?;
    let mut request = Request::Upload { length, checksum: crc32c(&[blob]) };
    let (mut there, mut stalls) = (0, 0);
    loop {
        let received = match client.ask(request)? {
            Response::Received { length } => length,
            other => return Err(unexpected(&other)),
        };
        stalls = if received > there { 0 } else { stalls + 1 };
        there = received;
        progress(there.into(), length.into());
        if there == length {
            return Ok(());
        }
        let rest = blob.get(there as usize..).context("the kernel has more than was sent; try again")?;
        ensure!(stalls <= MAX_STALLS, "the kernel keeps {there} of {length} bytes and takes no more; try again");
        let bytes = rest.get(..client.chunk_size()).unwrap_or(rest);
        request = Request::Chunk { offset: there, bytes };
    }
}
