//! A serial port, on which bytes get lost, instead of the broker's socket.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::PathBuf;
use std::sync::Mutex;

use bareflow::client::connection::Port;
use bareflow::client::{Client, upload};
use bareflow_protocol::{Request, Response};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::common::{assert_code, bareflow, errors, text};
use crate::fake_kernel::{Seen, answer_all};
use crate::push;

/// The kernel's end of a line that loses some bytes.
struct Line {
    file: File,
    /// The interval, in reads and writes, at which a byte gets lost; 0 for never.
    lossy: usize,
    reads: usize,
    writes: usize,
    /// The number of bytes lost so far.
    lost: usize,
}

impl Read for Line {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut ready = [PollFd::new(&self.file, PollFlags::IN)];
        if poll(&mut ready, Some(&Timespec { tv_sec: 0, tv_nsec: 300_000_000 }))? == 0 {
            return Err(ErrorKind::TimedOut.into());
        }
        let count = self.file.read(buffer)?;
        self.reads += 1;
        // Losing the only byte would look like the end of the stream.
        if self.lossy > 0 && self.reads.is_multiple_of(self.lossy) && count > 1 {
            self.lost += 1;
            buffer.copy_within(1..count, 0);
            return Ok(count - 1);
        }
        Ok(count)
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writes += 1;
        if self.lossy > 0 && self.writes.is_multiple_of(self.lossy) {
            self.lost += 1;
            return Ok(1);
        }
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Returns the two ends of a pseudoterminal, which stands in for the cable.
fn line(lossy: usize) -> (Line, PathBuf) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = PathBuf::from(ptsname(&master, Vec::new()).unwrap().into_string().unwrap());
    (Line { file: File::from(master), lossy, reads: 0, writes: 0, lost: 0 }, name)
}

#[test]
fn commands_work_over_a_serial_port() {
    let (mut kernel, name) = line(0);
    // The port is held open all the time, so that the kernel's end stays connected.
    let _held = OpenOptions::new().read(true).write(true).open(&name).unwrap();
    let seen = Mutex::new(Seen::default());
    std::thread::scope(|scope| {
        scope.spawn(|| answer_all(&mut kernel, &seen));
        let output = bareflow(["call", "echo", "--input", "\u{1}\u{3}\n\r\u{11}", "--port", name.to_str().unwrap()]);
        assert_code(&output, 0);
        assert!(text(&output).contains("returned 5\n"), "control characters go through: {}", text(&output));
        assert_code(&bareflow(["shutdown", "--port", name.to_str().unwrap()]), 0);
    });
}

#[test]
fn lost_bytes_hang_nothing() {
    let (mut kernel, name) = line(20);
    let _held = OpenOptions::new().read(true).write(true).open(&name).unwrap();
    let seen = Mutex::new(Seen::default());
    let blob: Vec<u8> = (0..100_000_u32).map(|number| (number % 251) as u8).collect();
    std::thread::scope(|scope| {
        scope.spawn(|| answer_all(&mut kernel, &seen));
        let port = Box::new(Port::open(&name).unwrap());
        let mut client = Client::greet(port, &name, std::time::Duration::from_secs(3)).unwrap();
        let uploaded = upload(&mut client, &blob, &mut |_, _| ()).map_err(|error| error.to_string());
        let pushed = client.ask(push());
        let listed = client.ask(Request::Ps);
        // The shutdown ends the kernel's side, whatever the results.
        assert!((0..5).any(|_| client.ask(Request::Shutdown).is_ok()));
        assert_eq!(uploaded, Ok(()));
        // A push is sent only once: either it succeeds, or its loss is reported.
        match pushed {
            Ok(answer) => assert!(matches!(answer, Response::Loaded(_)), "{answer:?}"),
            Err(error) => assert!(error.to_string().contains("to `push`, sent once"), "{error}"),
        }
        assert!(matches!(listed, Ok(Response::Modules(_))), "{listed:?}");
    });
    assert!(kernel.lost > 1, "{} bytes were lost", kernel.lost);
}

#[test]
fn a_silent_line_is_given_up() {
    let (_kernel, name) = line(0);
    let output = bareflow(["ps", "--timeout", "2", "--port", name.to_str().unwrap()]);
    assert_code(&output, 2);
    let said = errors(&output);
    assert!(said.contains("no answer of the kernel at /dev/pts/") && said.contains("sent 4 times"), "{said}");
}
