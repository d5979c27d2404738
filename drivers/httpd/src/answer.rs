//! Answers: their heads, and the pieces of what follows.

use core::fmt::Write;

use bareflow_report::{Overview, Report};
use bareflow_store::Store;
use bareflow_tcp::{Tcp, TcpError};

use crate::connection::Turn;
use crate::head::{Content, Length};
use crate::modules::{self, Cursor};
use crate::output::Output;
use crate::page::{PAGE, POLICY};
use crate::request::{Key, Request, Resource};
use crate::status::Status;
use crate::stored::Stored;
use crate::surroundings::Surroundings;

/// The part of an answer that is still to be made. Without any it is zero, so that a server before its first connection is all
/// zeros, and takes no room in the blob.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// None.
    Nothing,
    /// The page, of which so much was sent.
    Page(usize),
    /// The modules, from a cursor on, in chunks or not.
    Modules(Cursor, bool),
    /// Something of the store, of which so much was sent.
    Stored(Stored, usize),
    /// Nothing: the answer can't be gone on with, which its reader has to notice.
    Broken,
}

const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
const BYTES: &str = "application/octet-stream";

/// The longest piece of the page that is passed on at once.
const PIECE: usize = 16 << 10;

/// Begins the answer to a request.
pub fn answer<T, R: Report, S: Store>(
    request: &Request,
    output: &mut Output,
    with: &mut Surroundings<'_, T, R, S>,
) -> Body {
    let Request { is_head, is_last, .. } = *request;
    let begun = begin(request, with).and_then(|body| write_head(&body, is_last, output).map(|()| body));
    match begun {
        Ok(_) if is_head => Body::Nothing,
        Ok(body) => body,
        Err(status) => {
            with.counts.refused += 1;
            output.clear();
            error(status, is_head, is_last, output)
        }
    }
}

/// Begins the last answer of a connection, to what is no request.
pub fn refuse(status: Status, output: &mut Output) -> Body {
    error(status, false, true, output)
}

/// Finds what is asked for, and whether it can be had: errors come before a head that says there are none.
fn begin<T, R: Report, S: Store>(request: &Request, with: &mut Surroundings<'_, T, R, S>) -> Result<Body, Status> {
    let key = match request.wanted? {
        Resource::Page => return Ok(Body::Page(0)),
        Resource::Modules => {
            with.report.overview(&mut Overview::default()).map_err(|_| Status::Unavailable)?;
            return Ok(Body::Modules(Cursor::default(), request.takes_chunks));
        }
        Resource::Keys => None,
        Resource::Value(key) => Some(key),
    };
    with.take_store();
    Stored::begin(key, with.store, with.room).map(|stored| Body::Stored(stored, 0))
}

fn write_head(body: &Body, is_last: bool, output: &mut Output) -> Result<(), Status> {
    let plain = Content { status: Ok(()), kind: TEXT, policy: None, file: None };
    let (content, length) = match body {
        Body::Nothing | Body::Broken => return Ok(()),
        Body::Page(_) => (Content { kind: HTML, policy: Some(POLICY), ..plain }, Length::Bytes(PAGE.len())),
        Body::Modules(_, true) => (Content { kind: JSON, ..plain }, Length::Chunked),
        Body::Modules(_, false) => (Content { kind: JSON, ..plain }, Length::ToTheEnd),
        Body::Stored(stored, _) => {
            let file = stored.key().map(Key::as_str);
            let kind = if file.is_some() { BYTES } else { TEXT };
            (Content { kind, file, ..plain }, Length::Bytes(stored.length()))
        }
    };
    content.write_head(length, is_last, output).map_err(|_| Status::Unavailable)
}

fn error(status: Status, is_head: bool, is_last: bool, output: &mut Output) -> Body {
    let content = Content { status: Err(status), kind: TEXT, policy: None, file: None };
    let (number, reason, advice) = (status as u16, status.reason(), status.advice());
    let length = Length::Bytes("000 : \n".len() + reason.len() + advice.len());
    let mut written = content.write_head(length, is_last, output);
    if !is_head {
        written = written.and_then(|()| writeln!(output, "{number} {reason}: {advice}"));
    }
    if written.is_ok() { Body::Nothing } else { Body::Broken }
}

impl Body {
    /// Returns how much of it was passed on without `Output`.
    pub fn sent(&self) -> usize {
        match self {
            Body::Page(sent) | Body::Stored(_, sent) => *sent,
            Body::Nothing | Body::Modules(..) | Body::Broken => 0,
        }
    }

    /// Sends or makes the next piece, for the connection `number`. Returns `None` if there is none.
    pub fn go_on<T: Tcp, R: Report, S: Store>(
        &mut self,
        number: u32,
        output: &mut Output,
        with: &mut Surroundings<'_, T, R, S>,
    ) -> Result<Option<Turn>, TcpError> {
        match *self {
            Body::Nothing => return Ok(None),
            Body::Page(ref mut sent) => {
                let rest = PAGE.as_bytes().get(*sent..).unwrap_or_default();
                if rest.is_empty() {
                    return Ok(None);
                }
                return send_piece(number, &rest[..rest.len().min(PIECE)], sent, with.tcp).map(Some);
            }
            Body::Modules(cursor, is_chunk) => {
                *self = write_modules(cursor, is_chunk, output, with.report);
            }
            Body::Stored(stored, ref mut sent) => {
                if *sent == stored.length() {
                    return Ok(None);
                }
                if !with.room.has(&stored) && !with.take_store() {
                    return Ok(Some(Turn::Later));
                }
                if let Some(rest) = stored.bytes(with.store, with.room).and_then(|bytes| bytes.get(*sent..)) {
                    return send_piece(number, rest, sent, with.tcp).map(Some);
                }
                *self = Body::Broken;
            }
            Body::Broken => {
                with.tcp.abort(number)?;
                return Ok(Some(Turn::Ended));
            }
        }
        Ok(Some(Turn::Again))
    }
}

/// Sends as much of a piece as there is room for, and counts it.
fn send_piece(number: u32, piece: &[u8], sent: &mut usize, tcp: &mut impl Tcp) -> Result<Turn, TcpError> {
    let taken = tcp.send(number, piece)? as usize;
    *sent += taken;
    Ok(if taken < piece.len() { Turn::Waits } else { Turn::Again })
}

/// Makes the next piece of the modules. Returns what follows.
fn write_modules(cursor: Cursor, is_chunk: bool, output: &mut Output, report: &impl Report) -> Body {
    let mut next = None;
    let written = output.append(is_chunk, |room| {
        let (length, following) = modules::write(report, cursor, room)?;
        next = following;
        Some(length)
    });
    let mut ended = || if is_chunk { output.write(b"0\r\n\r\n") } else { Ok(()) };
    match (written, next) {
        (Ok(()), Some(cursor)) => Body::Modules(cursor, is_chunk),
        (Ok(()), None) if ended().is_ok() => Body::Nothing,
        _ => Body::Broken,
    }
}
