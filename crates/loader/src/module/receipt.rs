//! The receipt of an unloaded module.

use crate::fault::Fault;
use crate::name::{Name, Version};
use crate::profile::{Leak, Usage};

/// The receipt of an unloaded module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The module's name.
    pub name: Name,
    /// The module's version.
    pub version: Version,
    /// The module's generation.
    pub generation: u32,
    /// The memory that it had been given.
    pub held: Usage,
    /// The decrease of the memory in use; `None` if the platform does not count it.
    pub returned: Option<Usage>,
    /// The number of calls of its `run`, including those that faulted.
    pub call_count: u64,
    /// The size of its heap in bytes, which is part of its pages.
    pub heap_bytes: u32,
    /// The memory that it had not freed in its heap, which was freed with the heap.
    pub leak: Leak,
    /// The number of modules that it might call.
    pub bindings: u32,
    /// The fault that ended its `exit`. The module is gone all the same.
    pub exit_fault: Option<Fault>,
}

impl Receipt {
    /// Returns whether all the memory that it held came back, as far as the platform counts.
    #[must_use]
    pub fn is_balanced(&self) -> bool {
        self.returned.is_none_or(|returned| returned == self.held)
    }
}
