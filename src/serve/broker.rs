//! The broker: it connects many clients to the kernel's single channel.
//!
//! It marks each request with its client and routes each response back.
//!
//! Every client has two threads, one for each direction; two more serve the kernel. Requests are sent in turn
//! (`request_queue`), so a slow kernel slows its clients down and loses nothing, and each client may have only a few unanswered
//! requests (`flow`). No request is sent before the kernel's first message, since a port that it has not yet opened
//! loses data.

use std::borrow::Cow;
use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, Scope};
use std::time::Duration;

use anyhow::Result;
use bareflow_protocol::control::{CLIENT_BITS, MAX_REQUEST, Refusal, RefusalCode};
use bareflow_protocol::{Decoder, Envelope, FrameError, Message, Request, Response};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::clients::{Admission, Clients, MAX_CLIENTS};
use super::flow::Flow;
use super::request_queue::RequestQueue;
use super::response_queue::response_queue;

/// The timeout for telling a client that it is not admitted.
const TURNED_AWAY: Duration = Duration::from_millis(100);

/// The interval between checks whether a client that sends no more still reads its responses.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Serves clients that connect to `listener`, until the kernel closes its connection.
///
/// # Errors
/// When `listener` or `kernel` can't be used.
pub fn run(listener: &UnixListener, kernel: &UnixStream) -> Result<()> {
    run_and_tell(listener, kernel, || ())
}

/// Serves clients like [`run`], and calls `up` after the kernel's first message.
///
/// # Errors
/// As with [`run`].
pub fn run_and_tell(listener: &UnixListener, kernel: &UnixStream, up: impl FnOnce()) -> Result<()> {
    listener.set_nonblocking(true)?;
    // Ends the wait for clients. A connection of our own would not do, since the socket's file may have been removed.
    let (end, ended) = UnixStream::pair()?;
    let clients = Clients::default();
    let requests = RequestQueue::default();
    thread::scope(|scope| {
        let (ready, readiness) = channel();
        let (clients, requests) = (&clients, &requests);
        scope.spawn(move || send(&readiness, requests, kernel));
        scope.spawn(move || accept(scope, listener, &ended, clients, requests));
        route(kernel, clients, || {
            up();
            // The receiver is gone if the kernel takes no requests any more.
            let _ = ready.send(());
        });
        drop(ready);
        requests.close();
        clients.close();
        // Wakes the threads that wait for the kernel, and then the one that waits for clients.
        let _ = kernel.shutdown(Shutdown::Both);
        drop(end);
    });
    Ok(())
}

/// Sends requests to the kernel as they come in, once it is ready.
fn send(readiness: &Receiver<()>, requests: &RequestQueue, mut kernel: &UnixStream) {
    if readiness.recv().is_ok() {
        while let Some(frame) = requests.take() {
            if kernel.write_all(&frame).is_err() {
                // The kernel has closed the connection: `route` notices, and the clients' connections are closed.
                let _ = kernel.shutdown(Shutdown::Both);
                break;
            }
        }
    }
    requests.close();
}

/// Routes responses to their clients until the kernel closes the connection. Calls `heard` at its first message.
fn route(mut kernel: &UnixStream, clients: &Clients, heard: impl FnOnce()) {
    let mut heard = Some(heard);
    let mut decoder = Decoder::new();
    let mut buffer = vec![0; 64 << 10];
    while let Some(bytes) = receive(&mut kernel, &mut buffer) {
        decoder.push(bytes);
        while let Some(found) = decoder.next_payload() {
            let found = found.and_then(|payload| Message::from_payload(&payload));
            if found.is_ok()
                && let Some(heard) = heard.take()
            {
                heard();
            }
            match found {
                Ok(Message::Response(request_id, answer)) => deliver(request_id, answer, clients),
                // Clients are not interested in a run's reports.
                Ok(_) => {}
                Err(error) => crate::complain!("[SERVE] from the kernel: {error}"),
            }
        }
    }
}

fn deliver(request_id: u64, answer: Response, clients: &Clients) {
    let (mark, own) = ((request_id >> CLIENT_BITS) as u32, request_id & u64::from(u32::MAX));
    match answer {
        Response::Refused(why) if mark == 0 => crate::complain!("[SERVE] the kernel refused a frame: {why}"),
        answer => {
            let count = match answer {
                Response::Progress { .. } => |_: &Flow| (),
                // Its earlier requests are discarded and get no response.
                Response::Welcome { .. } => Flow::begin_anew,
                _ => Flow::end,
            };
            clients.pass(mark, Message::Response(own, answer).to_frame(), count);
        }
    }
}

/// Admits clients until the kernel has closed the connection.
fn accept<'scope>(
    scope: &'scope Scope<'scope, '_>,
    listener: &UnixListener,
    ended: &UnixStream,
    clients: &'scope Clients,
    requests: &'scope RequestQueue,
) {
    while !clients.is_closed() {
        let stream = match next_client(listener, ended) {
            Ok(Some(stream)) => Arc::new(stream),
            Ok(None) => continue,
            Err(error) => {
                crate::complain!("[SERVE] can't let a client in: {error}");
                thread::sleep(Duration::from_millis(100));
                continue;
            }
        };
        let flow = Arc::new(Flow::new());
        let (queue, outlet) = response_queue(&stream, &flow);
        let mark = match clients.admit(queue, &flow) {
            Admission::Admitted(mark) => mark,
            Admission::Full => {
                let error = format!("{MAX_CLIENTS} clients are connected, and no more may be; try again later");
                turn_away(&stream, error);
                continue;
            }
            Admission::Closed => return,
        };
        scope.spawn(move || outlet.run());
        scope.spawn(move || {
            listen(&stream, mark, clients, &flow, requests);
            // It may have closed one direction only, and wait for responses.
            while flow.is_waiting(POLL_INTERVAL) && !has_hung_up(&stream) {}
            // The goodbye lets the kernel drop the client's unfinished work. If the kernel is gone, no one takes it.
            let goodbye = Envelope { request_id: marked(mark, 0), request: Request::Goodbye }.to_frame();
            // The client did not ask for it, so its response must not reach it.
            clients.forget(mark);
            requests.put(mark, goodbye);
        });
    }
}

/// Waits for a client. Returns `None` if it has left at once, or if `ended` is closed.
fn next_client(listener: &UnixListener, ended: &UnixStream) -> io::Result<Option<UnixStream>> {
    let mut waited_for = [PollFd::new(listener, PollFlags::IN), PollFd::new(ended, PollFlags::IN)];
    let found = poll(&mut waited_for, None).map_err(io::Error::from).and_then(|_| listener.accept());
    match found {
        Ok((stream, _)) => {
            // On some systems the stream inherits the listener's mode.
            stream.set_nonblocking(false)?;
            Ok(Some(stream))
        }
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether the other end of a connection is closed in both directions.
fn has_hung_up(stream: &UnixStream) -> bool {
    let mut waited_for = [PollFd::new(stream, PollFlags::empty())];
    let looked = poll(&mut waited_for, Some(&Timespec::default()));
    looked.is_ok_and(|_| waited_for.iter().any(|one| one.revents().intersects(PollFlags::HUP | PollFlags::ERR)))
}

/// Tells a client that it is not admitted. A client that does not read this at once is not told.
fn turn_away(mut stream: &UnixStream, error: String) {
    let frame = Message::Response(0, Response::Refused(Cow::from(error).into())).to_frame();
    let _ = stream.set_write_timeout(Some(TURNED_AWAY)).and_then(|()| stream.write_all(&frame));
    // Unread data would reset the connection before the client has read the reason.
    let mut hello = [0; 4096];
    let _ = stream.set_read_timeout(Some(TURNED_AWAY)).and_then(|()| stream.read(&mut hello));
}

/// Passes a client's requests on until its connection ends.
fn listen(mut stream: &UnixStream, mark: u32, clients: &Clients, flow: &Flow, requests: &RequestQueue) {
    let mut decoder = Decoder::with_limit(MAX_REQUEST);
    let mut buffer = vec![0; 64 << 10];
    while let Some(bytes) = receive(&mut stream, &mut buffer) {
        decoder.push(bytes);
        let mut wrong = None;
        while let Some(found) = decoder.next_payload() {
            match found.and_then(|payload| request(&payload, mark)) {
                // With such a number, the response could not be told from another client's.
                Ok(Err(refusal)) => clients.pass(mark, refusal, |_| ()),
                // No requests are taken any more when the kernel is gone.
                Ok(Ok(frame)) => {
                    flow.begin();
                    if !requests.put(mark, frame) {
                        return;
                    }
                }
                // Errors after the first one are about the rest of a damaged frame.
                Err(error) => wrong = wrong.or(Some(error)),
            }
        }
        if let Some(error) = wrong {
            clients.pass(mark, refusal(error), |_| ());
        }
    }
    if decoder.unfinished() > 0 {
        // The client may have closed one direction only, and still read.
        clients.pass(mark, refusal(FrameError::Garbage { skipped: decoder.unfinished() }), |_| ());
    }
}

/// Returns a payload's request as a frame, marked with its client.
///
/// If its number leaves no room for the mark, returns the response instead.
fn request(payload: &[u8], mark: u32) -> Result<Result<Vec<u8>, Vec<u8>>, FrameError> {
    let request_id = Envelope::from_payload(payload)?.request_id;
    if request_id >> CLIENT_BITS != 0 {
        let error = format!("request number {request_id}, expected at most {}; count from 1 again", u32::MAX);
        return Ok(Err(Message::Response(request_id, Response::Refused(Cow::from(error).into())).to_frame()));
    }
    // The payload is passed on unchanged; the kernel refuses trailing data.
    Envelope::with_request_id(payload, marked(mark, request_id))
        .map(Ok)
        .ok_or(FrameError::Payload { length: payload.len() })
}

/// Returns the response to something that is not a request.
fn refusal(error: FrameError) -> Vec<u8> {
    Message::Response(0, Response::Refused(Refusal::new(RefusalCode::NoRequest, error.to_string()))).to_frame()
}

fn marked(mark: u32, request_id: u64) -> u64 {
    u64::from(mark) << CLIENT_BITS | request_id & u64::from(u32::MAX)
}

/// Returns the next bytes of a stream; `None` at its end, or when it breaks.
fn receive<'buffer>(stream: &mut impl Read, buffer: &'buffer mut [u8]) -> Option<&'buffer [u8]> {
    loop {
        match stream.read(buffer) {
            Ok(0) => return None,
            Ok(count) => return buffer.get(..count),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
}
