//! An interface that says who calls.

#![no_std]
#![forbid(unsafe_code)]

use bareflow_abi::{CallError, interface};

/// Knows its callers.
#[interface(version = "1.0")]
pub trait Who {
    /// Returns the caller's number.
    fn calls(&self) -> Result<u32, CallError>;
}
