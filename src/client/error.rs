//! Errors of a request.

use std::fmt;

/// A refusal by the kernel, which changed nothing: exit code 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused(pub String);

impl fmt::Display for Refused {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

/// The loss of the kernel: exit code 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The connection ended.
    Gone {
        /// The kernel's socket or port.
        place: String,
    },
    /// No answer came in time.
    Silent {
        /// The kernel's socket or port.
        place: String,
        /// The request's name.
        request: &'static str,
        /// The number of times it was sent.
        sent: u32,
        /// The unexpected message that was received instead, if any.
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
                // Only requests that can safely be repeated are sent more than once.
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

/// A number of times, displayed as text.
struct Times(u32);

impl fmt::Display for Times {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => out.write_str("once"),
            times => write!(out, "{times} times"),
        }
    }
}
