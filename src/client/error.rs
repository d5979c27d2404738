//! Why a request came to nothing.

use std::fmt;

/// The kernel said no, and changed nothing: exit code 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused(pub String);

impl fmt::Display for Refused {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

/// The kernel can't be asked any more: exit code 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The connection ended.
    Gone {
        /// Where the kernel was.
        place: String,
    },
    /// No answer came in time.
    Silent {
        /// Where the kernel is.
        place: String,
        /// What was asked for.
        request: &'static str,
        /// How often it was sent.
        sent: u32,
        /// What came instead, if anything.
        instead: Option<String>,
    },
}

impl fmt::Display for Lost {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Lost::Gone { place } => {
                write!(out, "the kernel at {place} is gone: the connection ended; run `bareflow serve` again")
            }
            Lost::Silent { place, request, sent, instead } => {
                write!(out, "no answer of the kernel at {place} to `{request}`, sent {}", Times(*sent))?;
                if let Some(instead) = instead {
                    write!(out, " ({instead})")?;
                }
                // What was sent more than once changes nothing when it is done twice.
                if *sent == 1 {
                    out.write_str("; it may have been done: see `bareflow ps`, then try again")
                } else {
                    out.write_str("; is the kernel running, and is the line whole?")
                }
            }
        }
    }
}

impl std::error::Error for Lost {}

/// How often something was done.
struct Times(u32);

impl fmt::Display for Times {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => out.write_str("once"),
            times => write!(out, "{times} times"),
        }
    }
}
