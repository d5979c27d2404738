//! The heads of answers.

use core::fmt::{self, Write};

use crate::output::Output;
use crate::status::Status;

/// The fields of each answer: it is not kept, not guessed at, and no other page's.
const FIELDS: &str = "Cache-Control: no-store\r\n\
    X-Content-Type-Options: nosniff\r\n\
    Referrer-Policy: no-referrer\r\n\
    Cross-Origin-Resource-Policy: same-origin\r\n";

/// The policy for what is no page.
const NOTHING_RUNS: &str = "default-src 'none'; frame-ancestors 'none'; sandbox";

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

impl Content<'_> {
    /// Writes the head.
    pub fn write_head(&self, length: Length, is_last: bool, output: &mut Output) -> fmt::Result {
        let Content { status, kind, policy, file } = self;
        match status {
            Ok(()) => output.write_str("HTTP/1.1 200 OK\r\n")?,
            Err(status) => write!(output, "HTTP/1.1 {} {}\r\n", *status as u16, status.reason())?,
        }
        write!(
            output,
            "Content-Type: {kind}\r\nContent-Security-Policy: {}\r\n{FIELDS}",
            policy.unwrap_or(NOTHING_RUNS)
        )?;
        if let Some(file) = file {
            write!(output, "Content-Disposition: attachment; filename=\"{file}\"\r\n")?;
        }
        match length {
            Length::Bytes(bytes) => write!(output, "Content-Length: {bytes}\r\n")?,
            Length::Chunked => output.write_str("Transfer-Encoding: chunked\r\n")?,
            Length::ToTheEnd => {}
        }
        if *status == Err(Status::MethodNotAllowed) {
            output.write_str("Allow: GET, HEAD\r\n")?;
        }
        output.write_str(if is_last { "Connection: close\r\n\r\n" } else { "\r\n" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::OUTPUT_BYTES;

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
        content.write_head(Length::Bytes(usize::MAX), true, &mut output).unwrap();
        assert!(output.unsent().len() < OUTPUT_BYTES / 2, "{}", output.unsent().len());
        assert!(output.unsent().ends_with(b"\r\nConnection: close\r\n\r\n"));
    }
}
