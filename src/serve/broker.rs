//! The broker: many clients on one side, the kernel's one serial port on the
//! other. It marks each request with its client and brings each answer back.
//!
//! Every client has two threads, one for each direction; two more serve the
//! kernel. Requests are sent in turn (`turns`), so a slow kernel slows its clients
//! down and loses nothing, and each client has a few without an answer at the most
//! (`flow`); and none is sent before the kernel has said its first word, since a port
//! that it has not opened loses what comes.

use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, Scope};
use std::time::Duration;

use bareflow_protocol::control::{MAX_REQUEST, NUMBER_BITS};
use bareflow_protocol::{Decoder, Envelope, FrameError, Message, Request, Response};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::client_queue::client_queue;
use super::clients::{Admission, Clients, MAX_CLIENTS};
use super::flow::Flow;
use super::turns::Turns;
use crate::BoxError;

/// How long a client is waited for that is not let in.
const TURNED_AWAY: Duration = Duration::from_millis(100);

/// How often is looked whether a client that sends no more still takes its answers.
const LOOK_EACH: Duration = Duration::from_millis(50);

/// Serves clients that come to `listener`, until the kernel behind `kernel` hangs up.
///
/// # Errors
/// When `listener` or `kernel` can't be used.
pub fn run(listener: &UnixListener, kernel: &UnixStream) -> Result<(), BoxError> {
    run_and_tell(listener, kernel, || ())
}

/// The same; `up` is called when the kernel has said its first word.
///
/// # Errors
/// As with [`run`].
pub fn run_and_tell(listener: &UnixListener, kernel: &UnixStream, up: impl FnOnce()) -> Result<(), BoxError> {
    listener.set_nonblocking(true)?;
    // Ends the wait for clients. A connection of one's own would not: somebody may have removed the socket's file.
    let (end, ended) = UnixStream::pair()?;
    let clients = Clients::default();
    let requests = Turns::default();
    thread::scope(|scope| {
        let (ready, readiness) = channel();
        let (clients, requests) = (&clients, &requests);
        scope.spawn(move || send(&readiness, requests, kernel));
        scope.spawn(move || accept(scope, listener, &ended, clients, requests));
        route(kernel, clients, || {
            up();
            // Nobody waits for it any more when the kernel takes no requests.
            let _ = ready.send(());
        });
        drop(ready);
        requests.close();
        clients.close();
        // Wakes those who wait for the kernel, and the one who waits for clients.
        let _ = kernel.shutdown(Shutdown::Both);
        drop(end);
    });
    Ok(())
}

/// Sends requests to the kernel as they come, once it is ready.
fn send(readiness: &Receiver<()>, requests: &Turns, mut kernel: &UnixStream) {
    if readiness.recv().is_ok() {
        while let Some(frame) = requests.take() {
            if kernel.write_all(&frame).is_err() {
                // It has hung up: `route` notices, and clients are told by the end of their connections.
                let _ = kernel.shutdown(Shutdown::Both);
                break;
            }
        }
    }
    requests.close();
}

/// Brings answers to their clients until the kernel hangs up. `heard` is told of the kernel's first message.
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
                Ok(Message::Response(number, answer)) => deliver(number, answer, clients),
                // What a run reports is of no interest to those who ask.
                Ok(_) => {}
                Err(error) => crate::complain!("[SERVE] from the kernel: {error}"),
            }
        }
    }
}

fn deliver(number: u64, answer: Response, clients: &Clients) {
    let (mark, own) = ((number >> NUMBER_BITS) as u32, number & u64::from(u32::MAX));
    match answer {
        Response::Refused { error } if mark == 0 => crate::complain!("[SERVE] the kernel refused a frame: {error}"),
        answer => {
            match answer {
                Response::Progress { .. } => {}
                // What it had asked for before is forgotten, and gets no answer.
                Response::Welcome { .. } => clients.greeted(mark),
                _ => clients.answered(mark),
            }
            clients.pass(mark, Message::Response(own, answer).to_frame());
        }
    }
}

/// Lets clients in until the kernel has hung up.
fn accept<'scope>(
    scope: &'scope Scope<'scope, '_>,
    listener: &UnixListener,
    ended: &UnixStream,
    clients: &'scope Clients,
    requests: &'scope Turns,
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
        let (queue, outlet) = client_queue(&stream, &flow);
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
            // It may have closed one direction only, and wait for answers.
            while flow.is_waiting(LOOK_EACH) && !has_hung_up(&stream) {}
            // The kernel forgets what it left half done. Nobody is there to send to when the kernel is gone.
            let goodbye = Envelope { number: marked(mark, 0), request: Request::Goodbye }.to_frame();
            requests.put(mark, goodbye);
            clients.forget(mark);
        });
    }
}

/// Waits for a client; nothing when one went again at once, or `ended` did.
fn next_client(listener: &UnixListener, ended: &UnixStream) -> io::Result<Option<UnixStream>> {
    let mut waited_for = [PollFd::new(listener, PollFlags::IN), PollFd::new(ended, PollFlags::IN)];
    let found = poll(&mut waited_for, None).map_err(io::Error::from).and_then(|_| listener.accept());
    match found {
        Ok((stream, _)) => {
            // On some systems it is as the listener is.
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

/// Tells a client that it is not let in. One that does not take that at once is not told.
fn turn_away(mut stream: &UnixStream, error: String) {
    let frame = Message::Response(0, Response::Refused { error: error.into() }).to_frame();
    let _ = stream.set_write_timeout(Some(TURNED_AWAY)).and_then(|()| stream.write_all(&frame));
    // What it sends first is read, or else its end of the connection would break before it has read why.
    let mut hello = [0; 4096];
    let _ = stream.set_read_timeout(Some(TURNED_AWAY)).and_then(|()| stream.read(&mut hello));
}

/// Passes a client's requests on until its connection ends.
fn listen(mut stream: &UnixStream, mark: u32, clients: &Clients, flow: &Flow, requests: &Turns) {
    let mut decoder = Decoder::with_limit(MAX_REQUEST);
    let mut buffer = vec![0; 64 << 10];
    while let Some(bytes) = receive(&mut stream, &mut buffer) {
        decoder.push(bytes);
        let mut wrong = None;
        while let Some(found) = decoder.next_payload() {
            match found.and_then(|payload| request(&payload, mark)) {
                // Its answer could not be told from another one's.
                Ok(Err(refusal)) => clients.pass(mark, refusal),
                // Nobody takes requests any more when the kernel is gone.
                Ok(Ok(frame)) => {
                    flow.begin();
                    if !requests.put(mark, frame) {
                        return;
                    }
                }
                // What follows a damaged frame is its rest.
                Err(error) => wrong = wrong.or(Some(error)),
            }
        }
        if let Some(error) = wrong {
            clients.pass(mark, refusal(error));
        }
    }
    if decoder.unfinished() > 0 {
        // It may have closed one direction only, and still read.
        clients.pass(mark, refusal(FrameError::Garbage { skipped: decoder.unfinished() }));
    }
}

/// The request in a payload, marked with its client, as a frame; the answer, where its number leaves no room for the mark.
fn request(payload: &[u8], mark: u32) -> Result<Result<Vec<u8>, Vec<u8>>, FrameError> {
    let number = Envelope::from_payload(payload)?.number;
    if number >> NUMBER_BITS != 0 {
        let error = format!("request number {number}, expected at most {}; count from 1 again", u32::MAX).into();
        return Ok(Err(Message::Response(number, Response::Refused { error }).to_frame()));
    }
    // Passed on as it is: what it has too much of is the kernel's to refuse.
    Envelope::renumbered(payload, marked(mark, number)).map(Ok).ok_or(FrameError::Payload { length: payload.len() })
}

/// The answer to what is no request.
fn refusal(error: FrameError) -> Vec<u8> {
    Message::Response(0, Response::Refused { error: error.to_string().into() }).to_frame()
}

fn marked(mark: u32, number: u64) -> u64 {
    u64::from(mark) << NUMBER_BITS | number & u64::from(u32::MAX)
}

/// The next bytes of a stream; nothing at its end, or when it breaks.
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
