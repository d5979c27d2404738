//! The outcome of a boot, and the errors when it failed.

use std::process::ExitStatus;

use anyhow::{Error, Result, anyhow};
use bareflow_protocol::{Message, Report};

use super::QEMU;
use crate::setup::setup_and;

/// The reason why a machine ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitReason {
    /// Everything passed.
    Passed,
    /// A test failed, or a module faulted or was refused.
    Failed,
    /// The kernel itself panicked.
    Panicked,
    /// QEMU ended by itself, with this code.
    Exited(Option<i32>),
    /// The machine did not end in time and was killed.
    GivenUp,
}

/// The outcome of a boot.
#[derive(Clone, Debug)]
pub struct RunOutcome {
    /// The reason why it ended.
    pub exit_reason: ExitReason,
    /// All of the console's output.
    pub console: String,
    /// The kernel's report.
    pub report: Option<Report>,
    /// The kernel's other messages.
    pub messages: Vec<Message>,
    /// QEMU's output on standard error.
    pub complaints: String,
    /// The accelerator it ran on.
    pub accel: String,
}

impl ExitReason {
    /// Returns the meaning of QEMU's exit status. `in_time` is false if QEMU was killed.
    pub(super) fn of(status: ExitStatus, in_time: bool) -> ExitReason {
        match status.code() {
            Some(33) => ExitReason::Passed,
            Some(35) => ExitReason::Failed,
            Some(37) => ExitReason::Panicked,
            _ if !in_time => ExitReason::GivenUp,
            code => ExitReason::Exited(code),
        }
    }
}

impl RunOutcome {
    /// Returns the report, if the kernel ended the run itself.
    ///
    /// # Errors
    /// When it did not; the error says what happened instead.
    pub fn into_report(self) -> Result<Report> {
        let complaints = self.complaints.trim_end();
        match (self.exit_reason, self.report) {
            (ExitReason::Passed | ExitReason::Failed, Some(report)) => Ok(report),
            (ExitReason::GivenUp, _) => Err(given_up(&self.accel, complaints)),
            (ExitReason::Panicked, _) => Err(anyhow!("the kernel panicked; its console above shows why")),
            (ExitReason::Exited(code), _) => Err(ended_by_itself(code, complaints)),
            (_, None) => {
                Err(anyhow!("the kernel ended without a report on COM2; boot with a machine that has the port"))
            }
        }
    }
}

/// Returns the error for a run that was killed.
fn given_up(accel: &str, complaints: &str) -> Error {
    let other = match accel {
        "tcg" => String::new(),
        accel => format!(", or `--accel tcg` should {accel} not work here"),
    };
    anyhow!("no answer in time, expected the end of the run; try a larger `--timeout`{other}{}", behind(complaints))
}

/// Returns the error for a run that QEMU itself ended.
pub(super) fn ended_by_itself(code: Option<i32>, complaints: &str) -> Error {
    let code = code.map_or("by a signal".to_owned(), |code| format!("with code {code}"));
    let remedy = match complaints {
        said if said.contains("Failed to get \"write\" lock")
            || said.contains("Failed to get shared \"write\" lock") =>
        {
            "another QEMU has the disk open, such as that of a `bareflow serve`: end it, or give this one a copy".into()
        }
        said if said.contains("Cannot set up guest memory") => "try a smaller `--memory`".into(),
        said if said.contains("host forwarding rule") => {
            "each port of `--net` and `--control` is to be from 1 to 65535, named once, and in no one else's use".into()
        }
        said if said.contains("Could not open") => "check `--disk`".into(),
        _ => setup_and("check `--machine`, `--cpu`, `--accel` and `--device` (`qemu-system-x86_64 -device help`)"),
    };
    anyhow!("{QEMU} ended {code}, expected the kernel to end the run; {remedy}{}", behind(complaints))
}

/// Returns QEMU's messages, on lines of their own, to append to an error.
fn behind(complaints: &str) -> String {
    if complaints.is_empty() { String::new() } else { format!("; QEMU said:\n{complaints}") }
}

/// Returns bytes as text, with invalid UTF-8 replaced.
pub(super) fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given_up(accel: &str, complaints: &str) -> String {
        let (console, complaints, accel) = (String::new(), complaints.to_owned(), accel.to_owned());
        let exit_reason = ExitReason::GivenUp;
        let outcome = RunOutcome { exit_reason, console, report: None, messages: Vec::new(), complaints, accel };
        outcome.into_report().unwrap_err().to_string()
    }

    #[test]
    fn what_qemu_said_is_shown_where_it_is_given_up() {
        let expected = "no answer in time, expected the end of the run; try a larger `--timeout`, or `--accel tcg` \
                        should kvm not work here; QEMU said:\nKVM internal error. Suberror: 1";
        assert_eq!(given_up("kvm", "KVM internal error. Suberror: 1\n"), expected);
        assert!(given_up("tcg", "").ends_with("try a larger `--timeout`"));
    }

    #[test]
    fn what_qemu_ended_by_has_its_own_remedy() {
        let lock = "qemu-system-x86_64: -device virtio-blk-pci,drive=d0: Failed to get \"write\" lock";
        let said = ended_by_itself(Some(1), lock).to_string();
        assert!(said.contains("another QEMU has the disk open") && said.ends_with(lock), "{said}");
        assert!(!said.contains("--machine"), "{said}");
        let taken = "-netdev user,id=n0,hostfwd=tcp:127.0.0.1:80-:80: Could not set up host forwarding rule";
        assert!(ended_by_itself(Some(1), taken).to_string().contains("in no one else's use"));
        let said = ended_by_itself(Some(1), "'virtio-rgn-pci' is not a valid device model name").to_string();
        assert!(said.contains("check `--machine`") && said.contains("`qemu-system-x86_64 -device help`"), "{said}");
    }
}
