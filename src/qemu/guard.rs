//! Cleanup after this process if it is killed.
//!
//! A killed process runs no code of its own, so QEMU would run on and its folder would stay. Therefore a shell waits
//! for the end of a pipe that this process holds open: however this process ends, the pipe ends with it.

use std::io::Write;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context, Result, anyhow};

/// The shell's script: reads QEMU's process ID, waits for the pipe's end, then kills QEMU and removes its folder.
///
/// A process that has the ID by then but does not name the folder is another one. Signals that a terminal sends to all
/// its processes are ignored.
const SCRIPT: &str = r#"trap '' HUP INT TERM
read -r pid
read -r _
if [ -n "$pid" ] && grep -qaF -- "$1" "/proc/$pid/cmdline"; then kill -9 "$pid"; fi
rm -rf -- "$1""#;

/// The waiting shell.
#[derive(Debug)]
pub(super) struct Guard {
    shell: Child,
    pipe: Option<ChildStdin>,
}

impl Guard {
    /// Guards `folder`, which must be named in the arguments of the QEMU that is then started.
    pub fn of(folder: &Path) -> Result<Guard> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", SCRIPT, "sh"]).arg(folder);
        let mut shell =
            command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().map_err(|error| {
                anyhow!("can't start /bin/sh, which ends QEMU should this program be killed: {error}")
            })?;
        let pipe = shell.stdin.take();
        Ok(Guard { shell, pipe })
    }

    /// Tells the guard which process is QEMU.
    pub fn watch(&mut self, process: &Child) -> Result<()> {
        let pipe = self.pipe.as_mut().context("the guard of QEMU has no pipe")?;
        writeln!(pipe, "{}", process.id()).map_err(|error| anyhow!("the guard of QEMU is gone: {error}"))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.pipe.take());
        // It fails only if the shell has been waited for already.
        let _ = self.shell.wait();
    }
}
