//! A conversation with a kernel: requests, and the responses to them.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Error, Result, anyhow, bail};
use bareflow_protocol::control::{CONTROL_VERSION, MAX_CHUNK, MAX_REQUEST};
use bareflow_protocol::{Decoder, Envelope, Message, Request, Response};

use super::connection::Connection;
use super::error::Lost;
use super::retry_policy::{RetryPolicy, retry_policy};

/// One conversation with a kernel.
pub struct Client {
    connection: Box<dyn Connection>,
    /// The socket or port, as named in messages.
    place: String,
    decoder: Decoder,
    request_id: u32,
    timeout: Duration,
}

impl Client {
    /// Greets the kernel at the other end of `connection`.
    ///
    /// # Errors
    /// When the kernel does not respond, or has another version of the protocol.
    pub fn greet(connection: Box<dyn Connection>, place: &Path, timeout: Duration) -> Result<Client> {
        Client::new(connection, place.display().to_string(), timeout).begin()
    }

    /// Creates one that has said nothing yet.
    pub(super) fn new(connection: Box<dyn Connection>, place: String, timeout: Duration) -> Client {
        Client { connection, place, decoder: Decoder::new(), request_id: 0, timeout }
    }

    /// Returns the same client with another patience.
    pub(super) fn with_timeout(self, timeout: Duration) -> Client {
        Client { timeout, ..self }
    }

    /// Greets the kernel.
    pub(super) fn begin(self) -> Result<Client> {
        let mut client = self;
        match client.ask(Request::Hello)? {
            Response::Welcome { control: CONTROL_VERSION, .. } => Ok(client),
            Response::Welcome { control, version, .. } => Err(anyhow!(
                "the kernel {version} speaks version {control} of the channel, expected {CONTROL_VERSION}; \
                 serve it by the same build as this program"
            )),
            other => Err(unexpected(&other)),
        }
    }

    /// Sends a request and waits for the response.
    ///
    /// # Errors
    /// [`Refusal`](bareflow_protocol::control::Refusal) when the kernel refuses, [`Lost`] when it does not answer.
    pub fn ask(&mut self, request: Request<'_>) -> Result<Response> {
        self.ask_with(request, &mut |_, _| ())
    }

    /// Sends a request and waits for the response; `progress` is given the amount done and the total.
    ///
    /// # Errors
    /// As with [`Client::ask`].
    pub fn ask_with(&mut self, request: Request<'_>, progress: &mut dyn FnMut(u64, u64)) -> Result<Response> {
        let RetryPolicy { name, times, each } = retry_policy(&request, self.connection.loses_bytes(), self.timeout);
        self.request_id = self.request_id.checked_add(1).unwrap_or(1);
        let frame = Envelope { request_id: self.request_id.into(), request }.to_frame();
        // `MAX_REQUEST` leaves room for the broker's mark and the frame's header.
        if frame.is_empty() || frame.len() > MAX_REQUEST {
            let found = frame.len();
            bail!("`{name}` of {found} bytes, expected at most {MAX_REQUEST}; give it less input");
        }
        let mut instead = None;
        for _ in 0..times {
            self.connection.send(&frame, self.timeout).map_err(|error| self.broken(&error))?;
            match self.wait(each, progress, &mut instead)? {
                Some(Response::Refused(refusal)) => return Err(refusal.into()),
                Some(answer) => return Ok(answer),
                // The rest of a frame that lost bytes must not swallow the next one.
                None => self.decoder = Decoder::new(),
            }
        }
        Err(Lost::Silent { place: self.place.clone(), request: name, sent: times, instead }.into())
    }

    /// Waits for the response to the last request. Returns `None` if there is no sign of it for `each`, or if it was
    /// damaged in transit.
    fn wait(
        &mut self,
        each: Duration,
        progress: &mut dyn FnMut(u64, u64),
        instead: &mut Option<String>,
    ) -> Result<Option<Response>> {
        let mut last_sign = Instant::now();
        loop {
            while let Some(found) = self.decoder.next_payload() {
                match found.and_then(|payload| Message::from_payload(&payload)) {
                    Ok(Message::Response(request_id, Response::Progress { done, of }))
                        if request_id == u64::from(self.request_id) =>
                    {
                        last_sign = Instant::now();
                        progress(done, of);
                    }
                    Ok(Message::Response(request_id, answer)) if request_id == u64::from(self.request_id) => {
                        return Ok(Some(answer));
                    }
                    // No request has the number 0, so this one was damaged in transit.
                    Ok(Message::Response(0, Response::Refused(refusal))) => {
                        *instead = Some(refusal.to_string());
                        return Ok(None);
                    }
                    // A second response to a request that was sent twice, or a report.
                    Ok(_) => {}
                    Err(error) => *instead = Some(error.to_string()),
                }
            }
            let Some(left) = each.checked_sub(last_sign.elapsed()) else { return Ok(None) };
            self.receive(left)?;
        }
    }

    /// Checks that the kernel is still there, as far as the connection shows.
    ///
    /// # Errors
    /// [`Lost`] when it is gone.
    pub fn check(&mut self) -> Result<()> {
        self.receive(Duration::ZERO)
    }

    /// Reads the bytes that arrive within `patience`.
    fn receive(&mut self, patience: Duration) -> Result<()> {
        let mut buffer = [0; 4096];
        match self.connection.receive(&mut buffer, patience).map_err(|error| self.broken(&error))? {
            Some(0) => Err(self.gone()),
            Some(count) => {
                self.decoder.push(buffer.get(..count).unwrap_or_default());
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Returns the size of an upload's chunks: smaller where bytes may get lost, since a chunk is lost as a whole.
    pub(super) fn chunk_size(&self) -> usize {
        if self.connection.loses_bytes() { MAX_CHUNK / 8 } else { MAX_CHUNK }
    }

    fn gone(&self) -> Error {
        Lost::Gone { place: self.place.clone(), by_network: self.connection.is_network() }.into()
    }

    fn broken(&self, error: &std::io::Error) -> Error {
        use std::io::ErrorKind::{BrokenPipe, ConnectionReset};
        match error.kind() {
            BrokenPipe | ConnectionReset => self.gone(),
            _ => anyhow!("the connection to {} is broken: {error}; try again", self.place),
        }
    }
}

/// Returns the error for a response that does not belong to the request.
pub(crate) fn unexpected(answer: &Response) -> Error {
    let shown: String = format!("{answer:?}").chars().take(80).collect();
    anyhow!("the kernel gave another request's answer: {shown}; serve it by the same build as this program")
}
