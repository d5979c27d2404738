//! Frames on a socket of QEMU's: each after its length, in four bytes with the highest first.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// The bytes that are read at once.
const CHUNK_BYTES: usize = 1 << 16;

/// The end at which frames come.
#[derive(Debug)]
pub struct Receiver {
    stream: UnixStream,
    /// The bytes that came, of which those before `start` are taken.
    came: Vec<u8>,
    start: usize,
}

impl Receiver {
    /// Receives from a socket.
    #[must_use]
    pub fn new(stream: UnixStream) -> Receiver {
        Receiver { stream, came: Vec::new(), start: 0 }
    }

    /// Waits for the next frame. Returns `None` if none comes in time.
    ///
    /// # Errors
    /// When the other side is gone.
    pub fn next(&mut self, patience: Duration) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(frame) = self.take() {
                return Ok(Some(frame));
            }
            let mut events = [PollFd::new(&self.stream, PollFlags::IN)];
            let timeout = Timespec::try_from(patience).map_err(io::Error::other)?;
            if poll(&mut events, Some(&timeout))? == 0 {
                return Ok(None);
            }
            self.came.drain(..self.start);
            self.start = 0;
            let end = self.came.len();
            self.came.resize(end + CHUNK_BYTES, 0);
            let read = self.stream.read(&mut self.came[end..])?;
            self.came.truncate(end + read);
            if read == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Takes a frame that is there as a whole.
    fn take(&mut self) -> Option<Vec<u8>> {
        let (length, rest) = self.came[self.start..].split_first_chunk::<4>()?;
        let frame = rest.get(..u32::from_be_bytes(*length) as usize)?.to_vec();
        self.start += 4 + frame.len();
        Some(frame)
    }
}

/// Sends a frame.
///
/// # Errors
/// When the other side is gone.
pub fn send(mut stream: &UnixStream, frame: &[u8]) -> io::Result<()> {
    let length = u32::try_from(frame.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), frame].concat())
}
