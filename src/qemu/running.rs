//! A kernel that keeps running while the host talks to it.

use std::os::unix::net::UnixStream;
use std::process::ExitStatus;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Result, anyhow};

use super::Machine;
use super::outcome::{ExitReason, ended_by_itself};
use super::process::Process;
use super::streams::{Overflow, chunks, complaints, said};

/// The interval between checks whether QEMU has ended.
const POLL: Duration = Duration::from_millis(10);

/// A running machine. It ends when this is dropped.
#[derive(Debug)]
pub struct Running {
    process: Arc<Mutex<Process>>,
    /// The console's output, as it arrives; ends when QEMU does.
    ///
    /// The kernel never waits for the reader: output that is not taken in time is dropped, and a line says how much it
    /// was.
    pub console: Receiver<Vec<u8>>,
    /// The host's end of the channel.
    pub channel: UnixStream,
    complaints: JoinHandle<Vec<u8>>,
}

/// A handle that ends a machine from another thread.
#[derive(Clone, Debug)]
pub struct KillHandle(Arc<Mutex<Process>>);

impl KillHandle {
    /// Ends the machine at once.
    pub fn kill(&self) {
        // It fails only if the machine has ended already.
        let _ = lock(&self.0).child.kill();
    }
}

impl Machine {
    /// Boots and returns at once.
    ///
    /// # Errors
    /// When QEMU can't be started; [`Running::wait`] reports how it ends.
    pub fn start(&self) -> Result<Running> {
        let (mut process, channel) = self.spawn()?;
        let console = chunks(process.child.stdout.take(), Overflow::Drop);
        let complaints = complaints(process.child.stderr.take());
        Ok(Running { process: Arc::new(Mutex::new(process)), console, channel, complaints })
    }
}

impl Running {
    /// Returns a handle that ends the machine from another thread.
    #[must_use]
    pub fn kill_handle(&self) -> KillHandle {
        KillHandle(Arc::clone(&self.process))
    }

    /// Waits for the end of the machine.
    ///
    /// # Errors
    /// When the machine ended in any way but a successful shutdown by the kernel.
    pub fn wait(self) -> Result<()> {
        let status = self.status()?;
        match ExitReason::of(status, true) {
            ExitReason::Passed => Ok(()),
            ExitReason::Panicked => Err(anyhow!("the kernel panicked; its console above shows why")),
            ExitReason::Failed => Err(anyhow!(
                "the kernel ended with a failure, expected an end by `bareflow shutdown`; its console above shows why"
            )),
            ExitReason::Exited(_) | ExitReason::GivenUp => Err(ended_by_itself(status.code(), &said(self.complaints))),
        }
    }

    /// Waits without holding the lock, so that the machine can be killed during that time.
    fn status(&self) -> Result<ExitStatus> {
        loop {
            if let Some(status) = lock(&self.process).child.try_wait()? {
                return Ok(status);
            }
            thread::sleep(POLL);
        }
    }
}

fn lock(process: &Mutex<Process>) -> std::sync::MutexGuard<'_, Process> {
    process.lock().unwrap_or_else(PoisonError::into_inner)
}
