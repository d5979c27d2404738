//! The error of an operation that a platform could not carry out.

use core::fmt;

/// An operation that the platform could not carry out, mostly for lack of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub struct PlatformError {
    /// The operation, for people: "map pages".
    pub what: &'static str,
    /// The memory asked for, in bytes; 0 if the error is not a lack of memory.
    pub bytes: usize,
}

impl fmt::Display for PlatformError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.bytes == 0 {
            return write!(formatter, "can't {}: the system does not let it; try another domain", self.what);
        }
        write!(
            formatter,
            "no memory: can't {} ({} bytes); unload a module or give the system more memory",
            self.what, self.bytes
        )
    }
}
