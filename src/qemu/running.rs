//! A kernel that keeps running while the host talks to it.

use std::io::ErrorKind;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::ExitStatus;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use super::Machine;
use super::outcome::{Ending, ended_by_itself, lossy};
use super::process::{Process, collect};
use crate::Problem;

/// How often is looked whether QEMU has connected or ended.
const POLL: Duration = Duration::from_millis(10);

/// A machine that runs. It ends when this does.
#[derive(Debug)]
pub struct Running {
    process: Arc<Mutex<Process>>,
    /// What the console shows, as it comes; ends when QEMU does.
    pub console: Receiver<Vec<u8>>,
    /// The host's end of COM2.
    pub channel: UnixStream,
    complaints: Receiver<Vec<u8>>,
    /// Holds the kernel's file.
    _folder: TempDir,
}

/// Ends a machine from another thread.
#[derive(Clone, Debug)]
pub struct Killer(Arc<Mutex<Process>>);

impl Killer {
    /// Ends the machine at once.
    pub fn kill(&self) {
        // It fails only where the machine has ended already.
        let _ = lock(&self.0).0.kill();
    }
}

impl Machine {
    /// Boots and returns as soon as COM2 is there.
    ///
    /// # Errors
    /// When QEMU can't be started, or ends before.
    pub fn start(&self) -> Result<Running, Problem> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("com2");
        let listener = UnixListener::bind(&path)?;
        listener.set_nonblocking(true)?;
        let mut process = self.spawn(folder.path(), &path)?;
        let console = collect(process.0.stdout.take());
        let complaints = collect(process.0.stderr.take());
        let channel = loop {
            match listener.accept() {
                Ok((channel, _)) => break channel,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(format!("can't wait for QEMU on {}: {error}", path.display()).into()),
            }
            if let Some(status) = process.0.try_wait()? {
                let said: Vec<u8> = complaints.iter().flatten().collect();
                return Err(ended_by_itself(status.code(), lossy(&said).trim_end()).into());
            }
            thread::sleep(POLL);
        };
        channel.set_nonblocking(false)?;
        Ok(Running { process: Arc::new(Mutex::new(process)), console, channel, complaints, _folder: folder })
    }
}

impl Running {
    /// What ends it from another thread.
    #[must_use]
    pub fn killer(&self) -> Killer {
        Killer(Arc::clone(&self.process))
    }

    /// Waits for the end of the machine.
    ///
    /// # Errors
    /// When it ended otherwise than by the kernel's own, successful end.
    pub fn wait(self) -> Result<(), Problem> {
        let status = self.status()?;
        match Ending::of(status, true) {
            Ending::Passed => Ok(()),
            Ending::Panicked => Err("the kernel panicked; its console above shows why".into()),
            Ending::Failed => Err("the kernel ended with a failure, expected an end by `bareflow shutdown`; \
                     its console above shows why"
                .into()),
            Ending::Exited(_) | Ending::GivenUp => {
                let said: Vec<u8> = self.complaints.iter().flatten().collect();
                Err(ended_by_itself(status.code(), lossy(&said).trim_end()).into())
            }
        }
    }

    /// Waits without holding the lock, so that the machine can be killed meanwhile.
    fn status(&self) -> Result<ExitStatus, Problem> {
        loop {
            if let Some(status) = lock(&self.process).0.try_wait()? {
                return Ok(status);
            }
            thread::sleep(POLL);
        }
    }
}

fn lock(process: &Mutex<Process>) -> std::sync::MutexGuard<'_, Process> {
    process.lock().unwrap_or_else(PoisonError::into_inner)
}
