//! QEMU's output, read by threads of their own, which keep a limited amount of it.

use std::io::Read;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::outcome::lossy;

/// The time during which text gathers in the pipe before it is read.
const GATHER: Duration = Duration::from_millis(1);

/// The number of bytes that are read at once.
const CHUNK: usize = 4096;

/// The number of chunks that may wait for their reader: a megabyte.
const WAITING: usize = 256;

/// The number of bytes that are kept of QEMU's messages.
const MOST_SAID: usize = 64 << 10;

/// The treatment of text that is not taken in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overflow {
    /// QEMU waits, and the kernel with it.
    Wait,
    /// The text is dropped, and a note says how much it was.
    Drop,
}

/// Reads a stream to its end, chunk by chunk.
pub(super) fn chunks(stream: Option<impl Read + Send + 'static>, overflow: Overflow) -> Receiver<Vec<u8>> {
    let (sender, receiver) = sync_channel(WAITING);
    if let Some(stream) = stream {
        thread::spawn(move || match overflow {
            Overflow::Wait => read(stream, |chunk| sender.send(chunk.to_vec()).is_ok()),
            Overflow::Drop => {
                let mut shedding = Shedding { sender, dropped: 0 };
                read(stream, |chunk| shedding.offer(chunk));
                shedding.say_dropped();
            }
        });
    }
    receiver
}

/// Reads QEMU's standard error to its end, and keeps the beginning.
pub(super) fn complaints(stream: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut said = Vec::new();
        if let Some(stream) = stream {
            read(stream, |chunk| {
                let room = MOST_SAID.saturating_sub(said.len());
                said.extend(chunk.get(..room).unwrap_or(chunk));
                true
            });
        }
        said
    })
}

/// Returns the text that [`complaints`] kept; waits until QEMU has ended.
pub(super) fn said(complaints: JoinHandle<Vec<u8>>) -> String {
    lossy(complaints.join().unwrap_or_default().trim_ascii_end())
}

fn read(mut stream: impl Read, mut take: impl FnMut(&[u8]) -> bool) {
    let mut buffer = [0; CHUNK];
    while let Ok(count) = stream.read(&mut buffer) {
        if count == 0 || !take(&buffer[..count]) {
            return;
        }
        // QEMU writes a serial port's bytes one by one: a reader that is woken by each takes CPU time away from it.
        thread::sleep(GATHER);
    }
}

/// A sender that drops chunks while the receiver is full.
struct Shedding {
    sender: SyncSender<Vec<u8>>,
    dropped: u64,
}

impl Shedding {
    /// Offers a chunk to the receiver. Returns false if the receiver is gone.
    fn offer(&mut self, chunk: &[u8]) -> bool {
        let mut text = self.note();
        text.extend(chunk);
        match self.sender.try_send(text) {
            Ok(()) => self.dropped = 0,
            Err(TrySendError::Full(_)) => self.dropped += chunk.len() as u64,
            Err(TrySendError::Disconnected(_)) => return false,
        }
        true
    }

    /// Reports at the end how much was dropped, if the receiver is still there.
    fn say_dropped(&mut self) {
        if self.dropped > 0 {
            let _ = self.sender.send(self.note());
        }
    }

    fn note(&self) -> Vec<u8> {
        match self.dropped {
            0 => Vec::new(),
            dropped => format!("\n[SERVE] {dropped} bytes of the console are missing: nobody read it\n").into_bytes(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a reader with as many chunks of text.
    fn long(chunks: usize) -> impl Read {
        std::io::repeat(b'x').take((chunks * CHUNK) as u64)
    }

    #[test]
    fn a_console_that_is_not_read_is_dropped_with_a_count() {
        let receiver = chunks(Some(long(WAITING + 40)), Overflow::Drop);
        // The thread never waits: it comes to its end while nothing is taken.
        thread::sleep(GATHER * 4 * (WAITING as u32 + 40));
        let text: Vec<u8> = receiver.iter().flatten().collect();
        let shown = text.iter().filter(|byte| **byte == b'x').count();
        assert_eq!(shown, WAITING * CHUNK);
        let expected = format!("\n[SERVE] {} bytes of the console are missing: nobody read it\n", 40 * CHUNK);
        assert!(text.ends_with(expected.as_bytes()), "{}", lossy(&text[shown..]));
    }

    #[test]
    fn a_console_that_is_waited_for_loses_nothing() {
        let receiver = chunks(Some(long(WAITING + 40)), Overflow::Wait);
        thread::sleep(GATHER * 20);
        assert_eq!(receiver.iter().flatten().count(), (WAITING + 40) * CHUNK);
    }

    #[test]
    fn no_more_is_kept_of_complaints_than_their_beginning() {
        assert_eq!(said(complaints(Some(long(40)))).len(), MOST_SAID);
        assert_eq!(said(complaints(Some(&b"no such machine\n"[..]))), "no such machine");
    }
}
