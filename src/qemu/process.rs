//! QEMU as a process: started, listened to, and never left behind.

use std::io::{ErrorKind, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use super::{Machine, QEMU};
use crate::Problem;

/// How long text gathers in the pipe before it is read.
const GATHER: Duration = Duration::from_millis(1);

/// QEMU while it runs. It does not outlive the run, however that ends.
#[derive(Debug)]
pub(super) struct Process(pub Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only where it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Machine {
    /// Starts QEMU, with COM2 at `channel`.
    pub(super) fn spawn(&self, folder: &Path, channel: &Path) -> Result<Process, Problem> {
        let mut command = Command::new(QEMU);
        command.args(self.arguments(folder, channel)?);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().map_err(|error| match error.kind() {
            ErrorKind::NotFound => format!("{QEMU} is not installed; run `make setup`"),
            _ => format!("can't start {QEMU}: {error}"),
        })?;
        Ok(Process(child))
    }
}

/// Reads a stream to its end, chunk by chunk, in a thread of its own.
pub(super) fn collect(stream: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    if let Some(mut stream) = stream {
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count) = stream.read(&mut buffer) {
                if count == 0 || sender.send(buffer[..count].to_vec()).is_err() {
                    break;
                }
                // QEMU writes a serial port's bytes one by one: a reader that is woken by each
                // takes the time from it.
                thread::sleep(GATHER);
            }
        });
    }
    receiver
}
