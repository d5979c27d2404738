//! The ways to a kernel: the socket of `serve`, a serial port, or TCP to its module `control`.

use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use bareflow_protocol::options::Token;
use bareflow_protocol::{Request, Response};

use super::connection::Port;
use super::error::Lost;
use super::session::{Client, unexpected};
use crate::options::ConnectOptions;
use crate::serve::{address, token};

impl Client {
    /// Connects as the options say, and greets the kernel.
    ///
    /// # Errors
    /// When there is no kernel, or it has another version of the protocol, or demands another token.
    pub fn connect(connect: &ConnectOptions) -> Result<Client> {
        let timeout = Duration::from_secs(connect.timeout);
        if let Some(address) = &connect.tcp {
            return connect_by_tcp(address, &token::find(connect.token.as_deref())?, timeout);
        }
        if let Some(port) = &connect.port {
            return Client::greet(Box::new(Port::open(port)?), port, timeout);
        }
        let (path, stream) = address::connect(connect.socket.as_deref())?;
        Client::greet(Box::new(stream), &path, timeout)
    }
}

/// The time within which the kernel's module is to be there, once something takes connections.
const START: Duration = Duration::from_secs(10);

/// The time between two attempts.
const PAUSE: Duration = Duration::from_millis(100);

/// The patience of the first attempt; that of each other one is twice the one before. What is sent while a card's driver
/// is being replaced is lost, and whoever has sent it may wait for seconds before it does so again.
const PATIENCE: Duration = Duration::from_millis(500);

/// Connects to a kernel at `address`, shows it the token, and greets it.
///
/// QEMU takes connections for a port that nothing in its machine listens at yet, and closes them.
///
/// # Errors
/// When no one takes the connection, or no kernel with this token does.
fn connect_by_tcp(address: &str, token: &Token, timeout: Duration) -> Result<Client> {
    let (began, mut patience) = (Instant::now(), PATIENCE.min(timeout));
    loop {
        match attempt(address, token, patience) {
            Ok(client) => return client.with_timeout(timeout).begin(),
            Err(error) => match error.downcast_ref() {
                Some(Lost::Gone { .. } | Lost::Silent { .. }) if began.elapsed() < START.min(timeout) => {}
                Some(Lost::Gone { .. } | Lost::Silent { .. }) => {
                    return Err(error.context("is the module `control` loaded, with `tcpip` and a card's driver?"));
                }
                None => return Err(error),
            },
        }
        patience = (2 * patience).min(timeout);
        thread::sleep(PAUSE);
    }
}

/// Opens a connection to the first of an address's hosts that takes one in time.
fn open(address: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "no host has this name");
    for host in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&host, START) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Connects and shows the token, for whose answer it waits as long as `patience`.
fn attempt(address: &str, token: &Token, patience: Duration) -> Result<Client> {
    let stream = open(address).map_err(|error| {
        anyhow!("no kernel at {address}: {error}; run `bareflow serve --control=tcp:PORT`, or check `--tcp`")
    })?;
    // A request is sent at once, and waited for.
    stream.set_nodelay(true)?;
    let mut client = Client::new(Box::new(stream), address.to_owned(), patience);
    match client.ask(Request::Token { token: token.0 })? {
        Response::Done => Ok(client),
        other => Err(unexpected(&other)),
    }
}
