//! The connection to a kernel: the socket of `serve`, or a serial port.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, anyhow};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::termios::{ControlModes, OptionalActions, QueueSelector, speed, tcflush, tcgetattr, tcsetattr};

/// A connection to a kernel.
pub trait Connection: Send {
    /// Waits for bytes, at most for `patience`. Returns their count: `None` on a timeout, 0 at the end of the stream.
    ///
    /// # Errors
    /// When the connection is broken.
    fn receive(&mut self, buffer: &mut [u8], patience: Duration) -> io::Result<Option<usize>>;

    /// Sends all of `bytes`; the other side takes some at least every `patience`.
    ///
    /// # Errors
    /// When it takes none, or the connection is broken.
    fn send(&mut self, bytes: &[u8], patience: Duration) -> io::Result<()>;

    /// Whether bytes may get lost on this connection.
    fn loses_bytes(&self) -> bool;

    /// Returns whether modules of the kernel carry the bytes.
    fn is_network(&self) -> bool;
}

/// Implements [`Connection`] for a stream of the standard library: the two kinds have the same methods, of no trait.
macro_rules! connection {
    ($($stream:ty: $is_network:literal),*) => {$(
impl Connection for $stream {
    fn receive(&mut self, buffer: &mut [u8], patience: Duration) -> io::Result<Option<usize>> {
        // A timeout of zero would mean none.
        self.set_read_timeout(Some(patience.max(Duration::from_millis(1))))?;
        match self.read(buffer) {
            Ok(count) => Ok(Some(count)),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(None),
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => Ok(Some(0)),
            Err(error) => Err(error),
        }
    }

    fn send(&mut self, bytes: &[u8], patience: Duration) -> io::Result<()> {
        self.set_write_timeout(Some(patience.max(Duration::from_millis(1))))?;
        self.write_all(bytes).map_err(|error| match error.kind() {
            ErrorKind::WouldBlock => io::Error::new(ErrorKind::TimedOut, "the other side takes no bytes"),
            _ => error,
        })
    }

    fn loses_bytes(&self) -> bool {
        false
    }

    fn is_network(&self) -> bool {
        $is_network
    }
}
    )*};
}

connection!(UnixStream: false, TcpStream: true);

/// A serial port.
#[derive(Debug)]
pub struct Port(File);

impl Port {
    /// Opens a device as a raw serial port at 115200 baud, 8 data bits, no parity and one stop bit.
    ///
    /// # Errors
    /// When it can't be opened, or is not a serial port.
    pub fn open(path: &Path) -> Result<Port> {
        let shown = path.display();
        // The port must not become the controlling terminal, and opening must not wait for a modem's carrier.
        let flags = OFlags::NOCTTY | OFlags::NONBLOCK;
        let mut options = OpenOptions::new();
        options.read(true).write(true).custom_flags(i32::try_from(flags.bits())?);
        let failed = |error| anyhow!("can't open {shown}: {error}; name a serial port such as /dev/ttyS0 by `--port`");
        let file = options.open(path).map_err(failed)?;
        let no_port =
            |error| anyhow!("{shown} is no serial port ({error}), expected one such as /dev/ttyS0; check `--port`");
        let mut settings = tcgetattr(&file).map_err(no_port)?;
        settings.make_raw();
        settings.control_modes.remove(ControlModes::CSIZE | ControlModes::PARENB | ControlModes::CSTOPB);
        settings.control_modes.insert(ControlModes::CS8 | ControlModes::CLOCAL | ControlModes::CREAD);
        settings.set_speed(speed::B115200).map_err(no_port)?;
        tcsetattr(&file, OptionalActions::Now, &settings).map_err(no_port)?;
        // Earlier input is not meant for this program.
        tcflush(&file, QueueSelector::IFlush).map_err(no_port)?;
        Ok(Port(file))
    }

    /// Waits at most `patience` until bytes can be read or written. Returns whether they can.
    fn wait(&self, for_what: PollFlags, patience: Duration) -> io::Result<bool> {
        let patience = Timespec::try_from(patience).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(&self.0, for_what)], Some(&patience)) {
            Ok(ready) => Ok(ready > 0),
            Err(error) if error == rustix::io::Errno::INTR => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

impl Connection for Port {
    fn receive(&mut self, buffer: &mut [u8], patience: Duration) -> io::Result<Option<usize>> {
        if !self.wait(PollFlags::IN, patience)? {
            return Ok(None);
        }
        match self.0.read(buffer) {
            Ok(count) => Ok(Some(count)),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn send(&mut self, bytes: &[u8], _: Duration) -> io::Result<()> {
        self.write_all(bytes)?;
        self.flush()
    }

    fn loses_bytes(&self) -> bool {
        true
    }

    fn is_network(&self) -> bool {
        false
    }
}

/// The longest time that a serial port may take to accept bytes.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

impl Write for Port {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.wait(PollFlags::OUT, WRITE_TIMEOUT)? {
            let said = "the port takes no bytes; is flow control on, or the other side off?";
            return Err(io::Error::new(ErrorKind::TimedOut, said));
        }
        match self.0.write(bytes) {
            // `Interrupted` makes the caller try again.
            Err(error) if error.kind() == ErrorKind::WouldBlock => Err(ErrorKind::Interrupted.into()),
            written => written,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
