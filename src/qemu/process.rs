//! QEMU as a process: started, and never left behind.

use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::guard::Guard;
use super::{Machine, QEMU};
use crate::BoxError;
use crate::setup::setup_or;

/// How QEMU is installed elsewhere than in the checkout.
const PACKAGE: &str = "install QEMU for x86: the package qemu-system-x86 on Debian and Ubuntu";

/// QEMU while it runs. It does not outlive the run, however that ends: it is killed here when the run ends, and by its
/// guard when this process does.
#[derive(Debug)]
pub(super) struct Process {
    /// QEMU itself.
    pub child: Child,
    /// Ends behind the process, so that it finds nothing to do.
    _guard: Guard,
    /// Holds the kernel's file.
    _folder: TempDir,
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Machine {
    /// Starts QEMU. Returns it and the host's end of COM2.
    pub(super) fn spawn(&self) -> Result<(Process, UnixStream), BoxError> {
        let folder = folder()?;
        let mut guard = Guard::of(folder.path())?;
        // Standard input is the one descriptor that a process can be given and nobody else gets; and there is no
        // path that could be too long.
        let (channel, other_end) = UnixStream::pair()?;
        let mut command = Command::new(QEMU);
        command.args(self.arguments(folder.path())?);
        command.stdin(OwnedFd::from(other_end)).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().map_err(|error| match error.kind() {
            ErrorKind::NotFound => format!("{QEMU} is not installed; {}", setup_or(PACKAGE)),
            _ => format!("can't start {QEMU}: {error}"),
        })?;
        let told = guard.watch(&child);
        // Whatever comes of that, the process is ended by its end.
        let process = Process { child, _guard: guard, _folder: folder };
        told?;
        Ok((process, channel))
    }
}

/// A folder for what QEMU reads.
fn folder() -> Result<TempDir, BoxError> {
    tempfile::Builder::new().prefix("bareflow-").tempdir().map_err(|error| {
        let place = std::env::temp_dir();
        format!("can't make a folder in {}: {error}; name another place by TMPDIR", place.display()).into()
    })
}
