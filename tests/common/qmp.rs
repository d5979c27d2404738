//! QEMU's own control channel, by which a test examines a machine from outside.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;

/// Sends a command over QMP and waits for its response.
pub fn qmp(stream: &mut BufReader<UnixStream>, command: &str) {
    stream.get_mut().write_all(command.as_bytes()).unwrap();
    let mut line = String::new();
    while !line.contains("\"return\"") {
        line.clear();
        assert_ne!(stream.read_line(&mut line).unwrap(), 0, "QEMU hung up at {command}");
        assert!(!line.contains("\"error\""), "{line}");
    }
}
