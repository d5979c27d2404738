//! One loaded module: what it is, what it is doing, what came of it.

use core::cell::Cell;

use bareflow_abi::Reason;

use crate::fault::Fault;
use crate::name::{Name, Version};
use crate::placed::PlacedModule;
use crate::platform::{Call, Platform};
use crate::profile::Recorder;

/// Where a module's code runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// With the embedder's own privileges, called directly.
    Kernel,
    /// In an address space of its own, without privileges.
    User,
}

impl Domain {
    /// The name that reports and options use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Domain::Kernel => "kernel",
            Domain::User => "user",
        }
    }
}

/// A handle to a loaded module. It stays behind when the module is unloaded,
/// and then leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModuleId {
    pub(crate) index: usize,
    pub(crate) load: u64,
}

/// A call that returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What the module returned.
    pub result: i32,
    /// How many bytes of output it wrote.
    pub output_length: usize,
}

/// One loaded module.
pub(crate) struct Module<P: Platform> {
    pub(crate) name: Name,
    pub(crate) version: Version,
    pub(crate) generation: u32,
    pub(crate) load: u64,
    pub(crate) flags: u32,
    pub(crate) code_size: u64,
    pub(crate) blob_size: u64,
    pub(crate) placed: PlacedModule<P::Image>,
    pub(crate) state: Cell<State>,
    pub(crate) fault: Cell<Option<Fault>>,
    pub(crate) last_result: Cell<Option<i32>>,
    pub(crate) recorder: Recorder<P::Tables>,
}

/// Why a call gave no result, in short.
#[derive(Clone, Copy)]
pub(crate) enum Failure {
    NotLoaded,
    Refused,
    ProfileFull,
    Faulted,
}

/// What a module is doing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Nothing.
    Ready,
    /// A call.
    Running,
    /// Nothing any more: a call faulted.
    Stopped,
}

impl<P: Platform> Module<P> {
    #[inline(always)]
    pub(crate) fn call(&self, reason: Reason) -> Call<'_, P::Image> {
        Call { module: &self.name, image: &self.placed.image, entry: self.placed.entry, reason }
    }

    /// Stops it for good.
    #[cold]
    #[inline(never)]
    pub(crate) fn stop(&self, fault: Fault) {
        self.state.set(State::Stopped);
        self.fault.set(Some(fault));
    }
}
