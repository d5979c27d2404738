//! QEMU as a process that is always cleaned up.

use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use anyhow::{Result, anyhow};
use tempfile::TempDir;

use super::guard::Guard;
use super::{Machine, QEMU};
use crate::setup::setup_or;

/// Advice on how to install QEMU outside the checkout.
const PACKAGE: &str = "install QEMU for x86: the package qemu-system-x86 on Debian and Ubuntu";

/// A running QEMU. It never outlives the run: it is killed when this is dropped, and by its guard if this process is
/// killed.
#[derive(Debug)]
pub(super) struct Process {
    /// The QEMU process.
    pub child: Child,
    /// Dropped after the process has ended, so that the guard has nothing to do.
    _guard: Guard,
    /// The folder with the kernel's file.
    _folder: TempDir,
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Machine {
    /// Starts QEMU. Returns the process and the host's end of the channel.
    pub(super) fn spawn(&self) -> Result<(Process, UnixStream)> {
        let folder = folder()?;
        let mut guard = Guard::of(folder.path())?;
        // Standard input can be given to a child process without any other process inheriting it, and unlike a socket's
        // path it can't be too long.
        let (channel, other_end) = UnixStream::pair()?;
        let mut command = Command::new(QEMU);
        command.args(self.arguments(folder.path())?);
        command.stdin(OwnedFd::from(other_end)).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().map_err(|error| match error.kind() {
            ErrorKind::NotFound => anyhow!("{QEMU} is not installed; {}", setup_or(PACKAGE)),
            _ => anyhow!("can't start {QEMU}: {error}"),
        })?;
        let told = guard.watch(&child);
        // From here on, dropping `process` ends QEMU, whatever the guard replied.
        let process = Process { child, _guard: guard, _folder: folder };
        told?;
        Ok((process, channel))
    }
}

/// Makes a temporary folder for the files that QEMU reads.
fn folder() -> Result<TempDir> {
    tempfile::Builder::new().prefix("bareflow-").tempdir().map_err(|error| {
        let place = std::env::temp_dir();
        anyhow!("can't make a folder in {}: {error}; name another place by TMPDIR", place.display())
    })
}
