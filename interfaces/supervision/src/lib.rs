//! The interface `supervision`: restarts of modules, and their states.
//!
//! The loader itself provides it, under the name `loader`. A module is known by its name, which stands for its active
//! version. Only what was loaded so that its blob is kept can be restarted: by any fault policy but `stop`; `restart:0`
//! keeps the blob and does no more.

#![no_std]
#![forbid(unsafe_code)]

use bareflow_abi::{CallError, Failure, Plain, Scalar, interface};

/// Restarts of modules, and their states.
#[interface(version = "1.0")]
pub trait Supervision {
    /// Gives a module a fresh image and a fresh state, whether it runs, waits or was stopped by a fault.
    ///
    /// A module of which a call is under way, as is that of the caller itself, is restarted when that has ended. What its
    /// policy counts begins anew.
    fn restart(&mut self, module: &str) -> Result<(), SupervisionError>;

    /// Gives the caller a fresh image and a fresh state when its call has ended.
    fn restart_self(&mut self) -> Result<(), SupervisionError>;

    /// Returns the state of a module, and writes what is counted to `counts`.
    fn status(&mut self, module: &str, counts: &mut Counts) -> Result<State, SupervisionError>;
}

/// The state of a module.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Scalar)]
pub enum State {
    /// Ready to be called.
    Live = 0,
    /// A call is under way.
    Running = 1,
    /// A fault happened, and the module starts again when a delay has passed.
    Waiting = 2,
    /// A fault stopped the module.
    Stopped = 3,
}

/// Counts of a module.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Plain)]
pub struct Counts {
    /// The time until it starts again, in microseconds; 0 if it does not wait, or if that is due.
    pub starts_in_us: u64,
    /// The number of its loads by this name.
    pub generation: u32,
    /// The number of its faults.
    pub faults: u32,
    /// The number of its restarts.
    pub restarts: u32,
    /// The number of restarts within the window of its policy.
    pub restarts_within_window: u32,
}

/// An error of supervision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Failure)]
pub enum SupervisionError {
    /// No module of that name is loaded.
    NoSuchModule,
    /// The module's blob was not kept.
    NotKept,
    /// There was no memory for a fresh image.
    NoMemory,
    /// The fresh image could not be made, for instance because its `init` failed.
    Failed,
    /// The call gave no answer.
    #[call_error]
    Call(CallError),
}
