//! What came of a boot, and what is to be said when it came to nothing.

use std::process::ExitStatus;

use bareflow_protocol::{Message, Report};

use super::QEMU;
use crate::Problem;

/// How a machine ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All went well.
    Passed,
    /// A test failed, a module faulted or was refused.
    Failed,
    /// The kernel itself went wrong.
    Panicked,
    /// QEMU ended by itself, with this code.
    Exited(Option<i32>),
    /// It did not end in time and was given up.
    GivenUp,
}

/// What came of a boot.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How it ended.
    pub ending: Ending,
    /// All that the console showed.
    pub console: String,
    /// What the kernel reported.
    pub report: Option<Report>,
    /// What it said besides.
    pub messages: Vec<Message>,
    /// What QEMU said on standard error.
    pub complaints: String,
}

impl Ending {
    /// What QEMU's exit code says, where it was not given up.
    pub(super) fn of(status: ExitStatus, in_time: bool) -> Ending {
        match status.code() {
            Some(33) => Ending::Passed,
            Some(35) => Ending::Failed,
            Some(37) => Ending::Panicked,
            _ if !in_time => Ending::GivenUp,
            code => Ending::Exited(code),
        }
    }
}

impl Outcome {
    /// The report, when the kernel came to its end.
    ///
    /// # Errors
    /// When it didn't, saying what happened instead.
    pub fn into_report(self) -> Result<Report, Problem> {
        let complaints = self.complaints.trim_end();
        match (self.ending, self.report) {
            (Ending::Passed | Ending::Failed, Some(report)) => Ok(report),
            (Ending::GivenUp, _) => {
                Err("no answer in time, expected the end of the run; try a larger `--timeout`".into())
            }
            (Ending::Panicked, _) => Err("the kernel panicked; its console above shows why".into()),
            (Ending::Exited(code), _) => Err(ended_by_itself(code, complaints).into()),
            (_, None) => Err("the kernel ended without a report on COM2; boot with a machine that has the port".into()),
        }
    }
}

/// Why a run that QEMU itself ended came to nothing.
pub(super) fn ended_by_itself(code: Option<i32>, complaints: &str) -> String {
    let code = code.map_or("by a signal".to_owned(), |code| format!("with code {code}"));
    let said = if complaints.is_empty() { String::new() } else { format!("\n{complaints}") };
    let remedy = "check `--machine`, `--cpu` and `--accel`, or run `make setup`";
    format!("{QEMU} ended {code}, expected the kernel to end the run; {remedy}{said}")
}

/// Bytes as text, whatever they are.
pub(super) fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
