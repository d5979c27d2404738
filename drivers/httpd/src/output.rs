//! Text that waits to be sent: the heads of answers, and what is made piece by piece.

use core::fmt::{self, Write};

use crate::status::Status;

/// The room for it, in bytes. A head and the longest piece fit.
pub const OUTPUT_BYTES: usize = 4096;

/// The bytes in front of a chunk, its length in four digits, and behind it.
const CHUNK_HEAD: usize = 6;
const CHUNK_END: &[u8] = b"\r\n";

/// The fields of each answer: it is not kept, not guessed at, and no other page's.
const FIELDS: &str = "Cache-Control: no-store\r\n\
    X-Content-Type-Options: nosniff\r\n\
    Referrer-Policy: no-referrer\r\n\
    Cross-Origin-Resource-Policy: same-origin\r\n";

/// The policy for what is no page.
const NOTHING_RUNS: &str = "default-src 'none'; frame-ancestors 'none'; sandbox";

/// Text that waits to be sent.
pub struct Output {
    bytes: [u8; OUTPUT_BYTES],
    sent: usize,
    length: usize,
}

/// The length of an answer's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// So many bytes.
    Bytes(usize),
    /// Unknown: it comes in chunks.
    Chunked,
    /// Unknown: it ends with the connection.
    ToTheEnd,
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

    /// Writes the head of an answer.
    pub fn write_head(&mut self, content: &Content<'_>, length: Length, is_last: bool) -> fmt::Result {
        let Content { status, kind, policy, file } = content;
        match status {
            Ok(()) => self.write_str("HTTP/1.1 200 OK\r\n")?,
            Err(status) => write!(self, "HTTP/1.1 {} {}\r\n", *status as u16, status.reason())?,
        }
        write!(
            self,
            "Content-Type: {kind}\r\nContent-Security-Policy: {}\r\n{FIELDS}",
            policy.unwrap_or(NOTHING_RUNS)
        )?;
        if let Some(file) = file {
            write!(self, "Content-Disposition: attachment; filename=\"{file}\"\r\n")?;
        }
        match length {
            Length::Bytes(bytes) => write!(self, "Content-Length: {bytes}\r\n")?,
            Length::Chunked => self.write_str("Transfer-Encoding: chunked\r\n")?,
            Length::ToTheEnd => {}
        }
        if *status == Err(Status::MethodNotAllowed) {
            self.write_str("Allow: GET, HEAD\r\n")?;
        }
        self.write_str(if is_last { "Connection: close\r\n\r\n" } else { "\r\n" })
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

/// The part of an answer's head that its content decides.
pub struct Content<'answer> {
    pub status: Result<(), Status>,
    /// The media type.
    pub kind: &'static str,
    /// The policy of a page; `None` for what runs nothing.
    pub policy: Option<&'static str>,
    /// The name of the file that it is to be kept as.
    pub file: Option<&'answer str>,
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

    #[test]
    fn the_longest_head_leaves_room() {
        let mut output = Output::new();
        let name = "k".repeat(bareflow_store::MAX_KEY_BYTES);
        let content = Content {
            status: Err(Status::HeadTooLarge),
            kind: "application/octet-stream",
            policy: Some(crate::page::POLICY),
            file: Some(&name),
        };
        output.write_head(&content, Length::Bytes(usize::MAX), true).unwrap();
        assert!(output.unsent().len() < OUTPUT_BYTES / 2, "{}", output.unsent().len());
        assert!(output.unsent().ends_with(b"\r\nConnection: close\r\n\r\n"));
    }
}
