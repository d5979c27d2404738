//! Text that waits to be sent: the heads of answers, and what is made piece by piece, in chunks perhaps.

use core::fmt::{self, Write};

/// The room for it, in bytes. A head and the longest piece fit.
pub const OUTPUT_BYTES: usize = 4096;

/// The bytes in front of a chunk, its length in four digits, and behind it.
const CHUNK_HEAD: usize = 6;
const CHUNK_END: &[u8] = b"\r\n";

/// Text that waits to be sent.
pub struct Output {
    bytes: [u8; OUTPUT_BYTES],
    sent: usize,
    length: usize,
}

impl Output {
    pub const fn new() -> Output {
        Output { bytes: [0; OUTPUT_BYTES], sent: 0, length: 0 }
    }

    /// Returns what is still to be sent.
    pub fn unsent(&self) -> &[u8] {
        self.bytes.get(self.sent..self.length).unwrap_or_default()
    }

    /// Notes that so many bytes more were sent.
    pub fn note_sent(&mut self, count: usize) {
        self.sent = self.sent.saturating_add(count).min(self.length);
        if self.sent == self.length {
            self.clear();
        }
    }

    pub fn clear(&mut self) {
        (self.sent, self.length) = (0, 0);
    }

    /// Appends what `write` writes into the room that it is given, of which it returns the length; as a chunk if `is_chunk`.
    pub fn append(&mut self, is_chunk: bool, write: impl FnOnce(&mut [u8]) -> Option<usize>) -> fmt::Result {
        let (before, after) = if is_chunk { (CHUNK_HEAD, CHUNK_END.len()) } else { (0, 0) };
        let start = self.length + before;
        let end = OUTPUT_BYTES - after;
        let length = write(self.bytes.get_mut(start..end).ok_or(fmt::Error)?).ok_or(fmt::Error)?;
        if is_chunk && length > 0 {
            write!(self, "{length:04x}\r\n")?;
        }
        self.length += length;
        if is_chunk && length > 0 { self.write(CHUNK_END) } else { Ok(()) }
    }

    /// Appends bytes.
    pub fn write(&mut self, bytes: &[u8]) -> fmt::Result {
        let target = self.bytes.get_mut(self.length..self.length + bytes.len()).ok_or(fmt::Error)?;
        target.copy_from_slice(bytes);
        self.length += bytes.len();
        Ok(())
    }
}

impl Write for Output {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.write(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_has_its_length_in_front() {
        let mut output = Output::new();
        let put = |text: &'static str| {
            move |room: &mut [u8]| {
                room[..text.len()].copy_from_slice(text.as_bytes());
                Some(text.len())
            }
        };
        output.append(true, put("seventeen letters")).unwrap();
        output.append(true, put("")).unwrap();
        output.append(false, put("plain")).unwrap();
        assert_eq!(output.unsent(), b"0011\r\nseventeen letters\r\nplain");
        output.note_sent(25);
        assert_eq!(output.unsent(), b"plain");
        output.note_sent(usize::MAX - 25);
        assert!(output.unsent().is_empty());
        output.append(true, |room| Some(room.len())).unwrap();
        assert_eq!(output.unsent().len(), OUTPUT_BYTES);
        assert!(output.append(true, |_| Some(0)).is_err() && output.write(b"x").is_err());
        assert_eq!(output.unsent()[..6], *b"0ff8\r\n");
    }
}
